import { ALLOW_ALL, GATEWAY_MAC, GUEST_MTU, Lab } from "../../host-agent/out/datapath/testing/lab.ts";
import { VethDevices } from "../../host-agent/out/net/devices.ts";
import { AS_AGENT } from "./sides.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Cleanup } from "./run.ts";
import { putMappings } from "../../host-agent/testing/mapping-batches.ts";

/** Milliseconds of the steps on the kernel that an attach is, and nothing else: no database, no network, no other process. */
export interface Floor {
  /** The pair, addresses, routes, clsact with the program. */
  devicesMs: number;
  /** Ruleset, meter, endpoint, mapping. */
  mapsMs: number;
  /** The pair taken away again. */
  removeMs: number;
}

/** Through the same ports as the agent's, in this process. */
export function floorOf(namespaces: Namespaces, cleanup: Cleanup): () => Floor {
  const lab = new Lab();
  cleanup(() => lab.dispose());
  const { datapath, path: hostNamespace, address: hostAddress } = lab.host("h1", "198.18.0.1", AS_AGENT);
  const netns = namespaces.make("floor");
  const devices = new VethDevices({ netnsPath: () => netns, hostNamespace });
  let last = 0;
  return () => {
    const wireId = 0x100 + ++last;
    const [guestMac, gatewayMac] = ["06:00:00:00:00:01", GATEWAY_MAC];
    const [address, guestMtu] = ["10.0.1.5", GUEST_MTU];
    const start = performance.now();
    const device = { wireId, instanceId: "i-floor", deviceIndex: 1, guestMac, gatewayMac, guestMtu };
    const where = { addresses: [`${address}/24`], gateways: ["10.0.1.1"] };
    const { ifindex } = devices.ensure({ ...device, ...where }, (index) => datapath.guardDevice(index));
    const made = performance.now();
    datapath.putRuleset({ id: wireId, rules: ALLOW_ALL });
    datapath.putMeter({ wireId, meterId: BigInt(wireId) });
    datapath.putEndpoint({
      ...{ wireId, vni: 700, addresses: [address], guestMac, gatewayMac, ifindex, device: "veth", guestMtu },
      ...{ rulesetId: wireId, groupSetId: 1, meterId: BigInt(wireId), sourceDestCheck: true, disabled: false },
    });
    putMappings(datapath, [{ vni: 700, prefix: `${address}/32`, hostAddress, wireId, groupSetId: 1 }]);
    const open = performance.now();
    datapath.closeEndpoint(wireId);
    datapath.dropMeter(wireId, BigInt(wireId));
    datapath.deleteRuleset(wireId);
    const closed = performance.now();
    devices.remove([wireId]);
    return { devicesMs: made - start, mapsMs: open - made, removeMs: performance.now() - closed };
  };
}
