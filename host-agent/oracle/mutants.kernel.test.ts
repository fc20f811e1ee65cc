import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compare } from "./compare.ts";
import { buildMutant, mutantNames } from "./mutant.ts";
import { Program } from "./program.ts";
import { STEPS, tell } from "./tell.ts";

// Is the comparison worth anything? Each patch breaks one check of the program; the comparison must notice.

/** Stories that a mutant may live through at most. */
const PATIENCE = 300;

const names = mutantNames();
const built = new Map<string, Promise<string>>();
let directory: string;
let program: Program;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plenum-mutants-"));
  program = new Program();
});
afterAll(() => {
  program.dispose();
  rmSync(directory, { recursive: true });
});

/** Some are compiled ahead while others are judged. */
function objectOf(name: string): Promise<string> {
  for (const next of names.slice(names.indexOf(name)).slice(0, availableParallelism() + 1))
    if (!built.has(next)) {
      const building = buildMutant(next, directory);
      building.catch(() => undefined); // told when it is its turn
      built.set(next, building);
    }
  return built.get(name)!;
}

test.each(names)("%s is noticed", { timeout: 180_000 }, async (name) => {
  program.load(await objectOf(name));
  for (let seed = 1; seed <= PATIENCE; seed++) if (compare(program, tell(seed, program.world, STEPS)) !== undefined) return;
  expect.fail(`the program passes all ${PATIENCE} stories without this check: the comparison does not cover it`);
});

test("there are at least 300, and the table names each", () => {
  const table = readFileSync(join(import.meta.dirname, "mutants/README.md"), "utf8");
  const rows = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map(([, name]) => name);
  expect(rows.toSorted()).toEqual(names.toSorted());
  expect(names.length).toBeGreaterThanOrEqual(300);
});
