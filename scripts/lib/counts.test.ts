import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { addCounts, readCounts } from "./counts.ts";

const dir = mkdtempSync(join(tmpdir(), "plenum-counts-"));
afterAll(() => rmSync(dir, { recursive: true }));

function reportFile(results: { status: string; assertionResults: unknown[] }[], counts: Partial<Record<string, number>>): string {
  const file = join(dir, `${Math.random()}.json`);
  const zero = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
  writeFileSync(file, JSON.stringify({ ...zero, ...counts, testResults: results.map((r, i) => ({ name: `f${i}`, ...r })) }));
  return file;
}

describe("readCounts", () => {
  it("counts what passed, failed and was skipped", () => {
    const file = reportFile([{ status: "failed", assertionResults: [{}, {}] }], {
      numPassedTests: 5,
      numFailedTests: 1,
      numPendingTests: 2,
      numTodoTests: 1,
    });
    expect(readCounts(file)).toEqual({ passed: 5, failed: 1, skipped: 3 });
  });

  it("counts a file that did not load, and a run that wrote nothing, as failures", () => {
    expect(readCounts(reportFile([{ status: "failed", assertionResults: [] }], {}))).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(readCounts(join(dir, "absent.json"))).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it("adds", () => {
    expect(addCounts({ passed: 1, failed: 2, skipped: 3 }, { passed: 4, failed: 5, skipped: 6 })).toEqual({
      passed: 5,
      failed: 7,
      skipped: 9,
    });
  });
});
