import { expect, test } from "vitest";
import fc from "fast-check";
import { awaitedHosts } from "./force.ts";

const at = (hostId: string, silent: boolean, applied: bigint) => ({ hostId, silent, applied });

test("the host itself is awaited alone once it is back, whatever the others have applied", () => {
  expect(awaitedHosts("a", [at("a", false, 9n), at("b", false, 0n)], 5n)).toEqual(["a"]);
});

test("every other host within its lease is awaited until it has applied the version", () => {
  const watchers = [at("c", false, 4n), at("a", true, 0n), at("b", false, 0n), at("d", false, 5n), at("e", true, 0n)];
  expect(awaitedHosts("a", watchers, 5n)).toEqual(["b", "c"]);
  expect(awaitedHosts("a", [at("d", false, 5n)], 5n)).toEqual([]);
});

test("nobody is awaited exactly when the host is silent and all others are silent or there", () => {
  const watcher = fc.record({ hostId: fc.constantFrom("a", "b", "c", "d"), silent: fc.boolean(), applied: fc.bigInt(0n, 3n) });
  fc.assert(
    fc.property(fc.uniqueArray(watcher, { selector: (one) => one.hostId }), fc.bigInt(0n, 3n), (watchers, version) => {
      const own = watchers.find((one) => one.hostId === "a")?.silent ?? true;
      const others = watchers.filter((one) => one.hostId !== "a").every((one) => one.silent || one.applied >= version);
      expect(awaitedHosts("a", watchers, version).length === 0).toBe(own && others);
    }),
  );
});
