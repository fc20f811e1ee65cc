import { afterAll, beforeAll, expect, test } from "vitest";
import { DROP_REASONS } from "../out/datapath/layout.gen.ts";
import { compare, describe, shrink } from "./compare.ts";
import { Program } from "./program.ts";
import { Tally } from "./tally.ts";
import { STEPS, STORIES, tell } from "./tell.ts";

// The program and the reference model on the same packets (D23): verdict, reason, for whom it counts, target, ids, MACs, and what is
// left in the meters and in the connection table. A difference is told in as few steps as it needs, with its seed. A connection that
// the kernel refused is one too, whatever its reason: nothing is tried again.

const PAIRS = 20_000;
const LEAST_HITS = 100;
/** D23 asks for 30 %; seen: 37.9. */
const LEAST_PASSED = 0.36;
/**
 * The kernel fails to change a packet for want of memory, or where a guest's offload header contradicts the packet: BPF_PROG_TEST_RUN
 * gives packets no such header. drops.kernel.test.ts sends as many.
 */
const NOT_HERE = ["REWRITE_FAILED"];

const tally = new Tally();
let program: Program;

beforeAll(() => {
  program = new Program();
});
afterAll(() => program.dispose());

test(`${STORIES} stories: program and model agree on each packet`, { timeout: 300_000 }, () => {
  for (let seed = 1; seed <= STORIES; seed++) {
    const found = compare(program, tell(seed, program.world, STEPS), (decision) => tally.add(decision));
    if (found !== undefined) expect.fail(describe(shrink(program, found)));
  }
});

test("enough of them, and enough of each kind", () => {
  process.stdout.write(`${tally.text()}\n`);
  expect(tally.packets).toBeGreaterThanOrEqual(PAIRS);
  expect(tally.sharePassed).toBeGreaterThanOrEqual(LEAST_PASSED);
  const given = DROP_REASONS.map((reason) => reason.name).filter((name) => !NOT_HERE.includes(name));
  expect(given.filter((name) => tally.hits(name) < LEAST_HITS)).toEqual([]);
});
