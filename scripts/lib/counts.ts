import { readFileSync } from "node:fs";
import { z } from "zod";

/** vitest's json reporter, as much of it as is counted. */
const report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(z.object({ name: z.string(), status: z.string(), assertionResults: z.array(z.unknown()) })),
});

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0 };

/** Counts of one vitest run. A file that failed without running a test (it did not load) counts as one failed test. No file: one failure. */
export function readCounts(file: string): Counts {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return { ...NONE, failed: 1 }; // vitest died before it could write
  }
  const run = report.parse(JSON.parse(text));
  const broken = run.testResults.filter((result) => result.status === "failed" && result.assertionResults.length === 0).length;
  return { passed: run.numPassedTests, failed: run.numFailedTests + broken, skipped: run.numPendingTests + run.numTodoTests };
}

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}
