import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseHost, whyNone, zoneOf } from "./choose-host.ts";

const host = fc.record({
  hostId: fc.stringMatching(/^host-[0-9a-f]{4}$/),
  zoneId: fc.constantFrom("a", "b", "c"),
  instances: fc.nat(5),
  carries: fc.boolean(),
  schedulable: fc.constantFrom(true, true, false),
  full: fc.constantFrom(false, false, true),
});
const hosts = fc.uniqueArray(host, { maxLength: 12, selector: (one) => one.hostId });
const zones = fc.array(fc.constantFrom("", "a", "b"), { maxLength: 4 });

test("the chosen fits, none that fits has fewer, and the order of the candidates does not matter", () => {
  fc.assert(
    fc.property(hosts, zones, fc.boolean(), (candidates, demanded, fixed) => {
      const demand = { zones: demanded, hostId: fixed ? (candidates[0]?.hostId ?? "host-none") : undefined };
      const zone = zoneOf(demanded);
      const there = candidates.filter(
        (one) =>
          zone.kind !== "conflict" &&
          (zone.kind === "any" || one.zoneId === zone.zoneId) &&
          (demand.hostId === undefined || one.hostId === demand.hostId),
      );
      const open = there.filter((one) => one.schedulable);
      const able = open.filter((one) => one.carries);
      const fits = able.filter((one) => !one.full);
      const chosen = chooseHost(candidates, demand);
      expect(chosen).toEqual(chooseHost(candidates.toReversed(), demand));
      if (fits.length === 0) {
        expect(chosen).toBeUndefined();
        const why = there.length === 0 ? "disconnected" : open.length === 0 ? "cordoned" : able.length === 0 ? "cut_off" : "full";
        expect(whyNone(candidates, demand)).toBe(why);
      } else {
        expect(fits).toContainEqual(chosen);
        expect(fits.every((one) => one.instances >= (chosen?.instances ?? 0))).toBe(true);
      }
    }),
  );
});

test("of hosts with as many instances the first by id", () => {
  const equal = ["host-b", "host-a", "host-c"].map((hostId) => ({
    hostId,
    zoneId: "a",
    instances: 1,
    carries: true,
    schedulable: true,
    full: false,
  }));
  expect(chooseHost(equal, { zones: [], hostId: undefined })?.hostId).toBe("host-a");
  expect(chooseHost(equal.toReversed(), { zones: [], hostId: undefined })?.hostId).toBe("host-a");
});

test("two zones cannot both be had", () => {
  expect(zoneOf(["", "a", "a"])).toEqual({ kind: "zone", zoneId: "a" });
  expect(zoneOf(["", ""])).toEqual({ kind: "any" });
  expect(zoneOf(["a", "b"])).toEqual({ kind: "conflict" });
});
