import { expect, test } from "vitest";
import type { Reader } from "../ports.ts";
import { together } from "./together.ts";

/** Runs two reads over `db`; what began and ended, in order. */
async function order(isTransaction: boolean): Promise<string[]> {
  const seen: string[] = [];
  const read = (name: string) => async () => {
    seen.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(`${name} ends`);
    return name;
  };
  expect(await together({ isTransaction } as Reader, read("a"), read("b"))).toEqual(["a", "b"]);
  return seen;
}

test("reads go at once from the pool, and one by one where there is one connection", async () => {
  expect(await order(false)).toEqual(["a begins", "b begins", "a ends", "b ends"]);
  expect(await order(true)).toEqual(["a begins", "a ends", "b begins", "b ends"]);
});
