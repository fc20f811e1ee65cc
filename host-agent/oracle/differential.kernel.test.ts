import { afterAll, beforeAll, expect, test } from "vitest";
import { DROP_REASONS } from "../out/datapath/layout.gen.ts";
import { compare, describe, shrink } from "./compare.ts";
import { Program } from "./program.ts";
import { tell } from "./tell.ts";

const SCENARIOS = 220;
const STEPS = 120;
let program: Program;

beforeAll(() => {
  program = new Program();
});
afterAll(() => program.dispose());

test("x", () => {
  const hits = new Map<string, number>();
  let pairs = 0;
  for (let seed = 1; seed <= SCENARIOS; seed++) {
    const found = compare(program, tell(seed, program.world, STEPS), (decision) => {
      const name = "reason" in decision ? decision.reason : decision.verdict;
      hits.set(name, (hits.get(name) ?? 0) + 1);
      pairs++;
    });
    if (found !== undefined) expect.fail(describe(shrink(program, found)));
  }
  console.log(pairs, hits, DROP_REASONS.length);
});
