import { expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { hostConditions } from "./host-conditions.ts";
import type { HostObserved } from "./host-conditions.ts";

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;
const well: HostObserved = {
  connected: true,
  sessionEpoch: 3n,
  lastSeen: new Date(5_000),
  createTime: new Date(1_000),
  deviceReady: true,
  tunnelReady: true,
  substrateMessage: "",
  substrateTime: new Date(2_000),
  barTime: null,
  barReason: "",
};

test.each<[string, Partial<HostObserved>, ConditionStatus, string]>([
  ["all is well", {}, TRUE, "Ready"],
  ["the device is down, and the tunnel with it", { deviceReady: false, tunnelReady: false, substrateMessage: "x" }, FALSE, "SubstrateDown"],
  ["the tunnel is down", { tunnelReady: false, substrateMessage: "x" }, FALSE, "TunnelDown"],
  ["an agent that does not say", { deviceReady: null, tunnelReady: null, substrateTime: null }, UNKNOWN, "NotReported"],
  ["down when it was last heard", { connected: false, deviceReady: false, substrateMessage: "x" }, UNKNOWN, "HostDisconnected"],
])("%s", (_name, changes, status, reason) => {
  const [connected, substrate] = hostConditions({ ...well, ...changes });
  expect(connected).toMatchObject({ type: "Connected", status: changes.connected === false ? FALSE : TRUE });
  expect(substrate).toMatchObject({ type: "SubstrateReady", status, reason, message: status === FALSE ? "x" : expect.any(String) });
  expect(substrate?.lastTransitionTime).toEqual(new Date(changes.connected === false || changes.substrateTime === null ? 5_000 : 2_000));
});

test("a barred host says so first, in the operator's words, and that it is not waited for", () => {
  const [barred, connected] = hostConditions({ ...well, connected: false, barTime: new Date(9_000), barReason: "stolen" });
  expect(barred).toMatchObject({ type: "Barred", status: TRUE, message: "stolen", lastTransitionTime: new Date(9_000) });
  expect(connected).toMatchObject({ type: "Connected", status: FALSE, reason: "HostBarred" });
});
