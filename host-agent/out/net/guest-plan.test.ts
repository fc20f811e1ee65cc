import { describe, expect, it } from "vitest";
import { deviceExample } from "../../testing/devices.contract.ts";
import { aliasOf, hostDeviceName, ownerOf, wireIdOf } from "./device-name.ts";
import { guestPlan } from "./guest-plan.ts";
import { tunnelOverhead } from "./underlay.ts";

describe("names of devices", () => {
  it.each([1, 0xa1, 0xffffffff])("carry the wire id %i and fit the kernel's 15 characters", (wireId) => {
    expect(hostDeviceName(wireId).length).toBeLessThanOrEqual(15);
    expect(wireIdOf(hostDeviceName(wireId))).toBe(wireId);
  });

  it.each(["pv", "pv1", "pv00000000", "pv000000a1x", "pv000000A1", "eth0", "plenum0"])("%s is no device of ours", (name) => {
    expect(wireIdOf(name)).toBeUndefined();
  });

  it.each([0, -1, 1.5, 2 ** 32])("%d is no wire id", (wireId) => expect(() => hostDeviceName(wireId)).toThrow(RangeError));

  it("carry the owner in the alias", () => {
    const owner = { instanceId: "i-0193ab", deviceIndex: 12 };
    expect(ownerOf(aliasOf(owner))).toEqual(owner);
    expect(ownerOf("something else")).toBeUndefined();
    expect(() => aliasOf({ instanceId: "i:1", deviceIndex: 0 })).toThrow(RangeError);
  });
});

describe("the plan of a guest's network", () => {
  it("keeps the default of the main table for device 0", () => {
    const main = (deviceIndex: number): number => guestPlan(deviceExample({ deviceIndex })).routes.filter((r) => r.table === 254).length;
    expect([main(0), main(1)]).toEqual([1, 0]);
  });

  it("has a rule for each address and one route for each subnet", () => {
    const plan = guestPlan(deviceExample({ deviceIndex: 2, addresses: ["10.0.1.5/24", "10.0.1.6/24", "10.0.2.6/24"] }));
    expect(plan.rules).toEqual([
      { outDevice: "eth2", family: 4, table: 1002, priority: 1002 },
      { from: "10.0.1.5", table: 1002, priority: 2002 },
      { from: "10.0.1.6", table: 1002, priority: 2002 },
      { from: "10.0.2.6", table: 1002, priority: 2002 },
    ]);
    expect(plan.routes).toEqual([
      { to: "10.0.1.0/24", source: "10.0.1.5", table: 1002 },
      { to: "10.0.2.0/24", source: "10.0.2.6", table: 1002 },
      { to: "0.0.0.0/0", via: "10.0.1.1", source: "10.0.1.5", table: 1002 },
    ]);
  });

  it("plans each family by itself", () => {
    const plan = guestPlan(deviceExample({ addresses: ["10.0.1.5/24", "fd00::5/64"], gateways: ["10.0.1.1", "fd00::1"] }));
    expect(plan.routes.filter((r) => r.table === 254).map((r) => [r.to, r.via])).toEqual([
      ["0.0.0.0/0", "10.0.1.1"],
      ["::/0", "fd00::1"],
    ]);
    expect(guestPlan(deviceExample({ addresses: [] }))).toMatchObject({ addresses: [], routes: [], rules: [] });
  });
});

it("a tunnel costs 50 bytes over IPv4 and 70 over IPv6 (D12)", () => {
  expect([tunnelOverhead("198.18.0.1"), tunnelOverhead("fd00::1")]).toEqual([50, 70]);
});
