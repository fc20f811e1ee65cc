import type { BpfMap } from "./bpf-map.ts";
import { decodeEndpoint } from "./codec.ts";
import { u32 } from "./record.ts";

/**
 * Makes the index of devices agree with the endpoints: a crash may have come between the two maps, and then an interface would be open with
 * nothing that it sends being taken for its own, or an entry would stay for a device that nobody has any more. No device is given to
 * anybody by it: a program believes the index only where the endpoint names the device too.
 */
export function indexDevices(ports: BpfMap, endpoints: BpfMap): void {
  const wanted = new Map<number, number>();
  for (const [, value] of endpoints.entries()) {
    const { ifindex, wireId } = decodeEndpoint(value);
    wanted.set(ifindex, wireId);
  }
  for (const [key, value] of [...ports.entries()]) {
    const ifindex = key.readUInt32LE();
    if (wanted.get(ifindex) === value.readUInt32LE()) wanted.delete(ifindex);
    else if (!wanted.has(ifindex)) ports.delete(key);
  }
  for (const [ifindex, wireId] of wanted) ports.put(u32(ifindex), u32(wireId));
}
