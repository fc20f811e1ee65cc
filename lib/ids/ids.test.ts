import { expect, it } from "vitest";
import { ID_KINDS, isId, newId } from "./ids.ts";
import type { IdPrefix } from "./ids.ts";

const prefixes = Object.keys(ID_KINDS) as IdPrefix[];

it.each(prefixes)("%s ids are of their own kind only", (prefix) => {
  const id = newId(prefix);
  expect(prefixes.filter((other) => isId(other, id))).toEqual([prefix]);
  expect(isId(prefix, `${id}0`)).toBe(false);
  expect(isId(prefix, id.toUpperCase())).toBe(false);
});

it("sort in the order in which they were made", () => {
  const ids = Array.from({ length: 1_000 }, () => newId("vpc"));
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(1_000);
});
