import fc from "fast-check";
import { expect, test } from "vitest";
import { cursorOf, placeOf } from "./watch-place.ts";

test("a place comes back from its cursor as it was", () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
  const parts = fc.array(fc.record({ version: number, mark: number }, { noNullPrototype: true }), { minLength: 1, maxLength: 16 });
  const places = fc.record({
    clock: fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }),
    positions: fc.dictionary(fc.string({ minLength: 1 }), parts, { noNullPrototype: true }).map((all) => new Map(Object.entries(all))),
  });
  fc.assert(fc.property(places, (place) => void expect(placeOf(cursorOf(place))).toEqual(place)));
});
