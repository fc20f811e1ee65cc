import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildInstrumented, COUNTERS, exportCoverage } from "./instrument.ts";
import { Program } from "./program.ts";
import type { Scenario } from "./scenario.ts";
import { STEPS, STORIES, tell } from "./tell.ts";

// Which branches of the program the comparison with the model goes through. The comparison itself is not made here: the program with
// counters is another one. `npm test` reads what is left in build/ and asks a reason for each branch that is not covered.

const REPORT = join(import.meta.dirname, "../../build/coverage/program.json");
let directory: string;
let program: Program | undefined;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plenum-coverage-"));
});
afterAll(() => {
  program?.dispose();
  rmSync(directory, { recursive: true });
});

test("the branches that the stories take are counted", { timeout: 300_000 }, () => {
  const instrumented = buildInstrumented(directory);
  program = new Program(instrumented.objectPath);
  for (let seed = 1; seed <= STORIES; seed++) play(program, tell(seed, program.world, STEPS));
  const report = exportCoverage(instrumented, program.peek(COUNTERS, instrumented.size), directory);
  mkdirSync(dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, report);
  expect(report).toContain("decide_instance.h");
});

function play(on: Program, { start, steps }: Scenario): void {
  let now = 0;
  on.reset();
  on.configure(start);
  for (const step of steps) {
    if (step.what === "time") now += step.milliseconds;
    else if (step.what === "configuration") on.configure(step.configuration);
    else on.run(step.packet, now);
  }
}
