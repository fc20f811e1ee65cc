import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseHost, zoneOf } from "./choose-host.ts";

const host = fc.record({
  hostId: fc.stringMatching(/^host-[0-9a-f]{4}$/),
  zoneId: fc.constantFrom("a", "b", "c"),
  instances: fc.nat(5),
  carries: fc.boolean(),
});
const hosts = fc.uniqueArray(host, { maxLength: 12, selector: (one) => one.hostId });
const zones = fc.array(fc.constantFrom("", "a", "b"), { maxLength: 4 });

test("the chosen fits, none that fits has fewer, and the order of the candidates does not matter", () => {
  fc.assert(
    fc.property(hosts, zones, fc.boolean(), (candidates, demanded, fixed) => {
      const demand = { zones: demanded, hostId: fixed ? (candidates[0]?.hostId ?? "host-none") : undefined };
      const zone = zoneOf(demanded);
      const fits = candidates.filter(
        (one) =>
          one.carries &&
          zone.kind !== "conflict" &&
          (zone.kind === "any" || one.zoneId === zone.zoneId) &&
          (demand.hostId === undefined || one.hostId === demand.hostId),
      );
      const chosen = chooseHost(candidates, demand);
      expect(chosen).toEqual(chooseHost(candidates.toReversed(), demand));
      if (fits.length === 0) expect(chosen).toBeUndefined();
      else {
        expect(fits).toContainEqual(chosen);
        expect(fits.every((one) => one.instances >= (chosen?.instances ?? 0))).toBe(true);
      }
    }),
  );
});

test("two zones cannot both be had", () => {
  expect(zoneOf(["", "a", "a"])).toEqual({ kind: "zone", zoneId: "a" });
  expect(zoneOf(["", ""])).toEqual({ kind: "any" });
  expect(zoneOf(["a", "b"])).toEqual({ kind: "conflict" });
});
