import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Judges } from "./judges.ts";
import { mutantNames } from "./mutant.ts";

// Is the comparison worth anything? Each patch breaks one check of the program; the comparison must notice.

const names = mutantNames();
let judges: Judges;

beforeAll(() => {
  judges = new Judges(availableParallelism());
});
afterAll(async () => await judges.end());

test.concurrent.for(names)("%s is noticed", { timeout: 300_000 }, async (name) => {
  expect(await judges.judge(name)).toEqual({ noticedBy: expect.any(Number) as number });
});

test("there are at least 300, and the table names each", () => {
  const table = readFileSync(join(import.meta.dirname, "mutants/README.md"), "utf8");
  const rows = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map(([, name]) => name);
  expect(rows.toSorted()).toEqual(names.toSorted());
  expect(names.length).toBeGreaterThanOrEqual(300);
});
