import type { Device, Devices, DeviceSpec, FoundDevice } from "../core/ports.ts";

interface FakePair {
  spec: DeviceSpec;
  ifindex: number;
  up: boolean;
}

/** What outlives the agent: give the same one to a second FakeDevices to play a restart. */
export interface FakeDeviceKernel {
  pairs: Map<number, FakePair>;
  nextIfindex: number;
}

export function fakeDeviceKernel(): FakeDeviceKernel {
  return { pairs: new Map(), nextIfindex: 10 };
}

export interface FakeDevicesOptions {
  kernel?: FakeDeviceKernel;
  /** All exist if absent. */
  instanceExists?: (instanceId: string) => boolean;
  /** Called first thing in each call, with its name; a test throws from it. */
  fault?: (call: "ensure" | "remove" | "list") => void;
}

/** Devices that are only remembered. */
export class FakeDevices implements Devices {
  readonly kernel: FakeDeviceKernel;
  readonly #instanceExists: (instanceId: string) => boolean;
  readonly #fault: (call: "ensure" | "remove" | "list") => void;

  constructor(options: FakeDevicesOptions = {}) {
    this.kernel = options.kernel ?? fakeDeviceKernel();
    this.#instanceExists = options.instanceExists ?? (() => true);
    this.#fault = options.fault ?? (() => {});
  }

  ensure(spec: DeviceSpec, guard: (ifindex: number) => void): Device {
    this.#fault("ensure");
    if (!this.#instanceExists(spec.instanceId)) throw new Error(`ENOENT: instance ${spec.instanceId} has no namespace`);
    const { pairs } = this.kernel;
    for (const { spec: other } of pairs.values()) {
      if (other.wireId !== spec.wireId && other.instanceId === spec.instanceId && other.deviceIndex === spec.deviceIndex) {
        throw new Error(`eth${spec.deviceIndex} of ${spec.instanceId} belongs to attachment ${other.wireId}: remove that first`);
      }
    }
    const present = pairs.get(spec.wireId);
    const keep =
      present?.spec.instanceId === spec.instanceId &&
      present.spec.deviceIndex === spec.deviceIndex &&
      present.spec.guestMac === spec.guestMac &&
      present.spec.gatewayMac === spec.gatewayMac;
    const pair = keep ? present : { spec, ifindex: this.kernel.nextIfindex++, up: false };
    pairs.set(spec.wireId, pair);
    guard(pair.ifindex);
    pair.spec = spec;
    pair.up = true;
    return { wireId: spec.wireId, instanceId: spec.instanceId, ifindex: pair.ifindex };
  }

  remove(wireIds: readonly number[]): void {
    this.#fault("remove");
    for (const wireId of wireIds) this.kernel.pairs.delete(wireId);
  }

  list(): FoundDevice[] {
    this.#fault("list");
    return [...this.kernel.pairs.values()].map(({ spec: { wireId, instanceId, guestMtu }, ifindex, up }) => {
      return { wireId, instanceId, ifindex, up, mtu: guestMtu };
    });
  }

  /** The guest deletes its device: the host's end goes with it (D24). */
  deletedByGuest(instanceId: string, deviceIndex: number): void {
    for (const { spec } of [...this.kernel.pairs.values()]) {
      if (spec.instanceId === instanceId && spec.deviceIndex === deviceIndex) this.kernel.pairs.delete(spec.wireId);
    }
  }
}
