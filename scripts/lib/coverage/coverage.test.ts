import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readIstanbul } from "./istanbul.ts";
import { judge } from "./judge.ts";
import { readLlvm } from "./llvm.ts";
import type { Branch, Measured } from "./measured.ts";
import { tableOf } from "./report.ts";

const dir = mkdtempSync(join(tmpdir(), "plenum-coverage-"));
afterAll(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

const branch = (line: number, isCovered: boolean): Branch => ({ line, column: 5, what: "never true", isCovered, at: line });

function measured(source: string[], branches: Branch[], functions: Measured["functions"] = []): Measured {
  return { file: "a/core/x.ts", source: source.join("\n"), lines: { covered: 3, total: 4 }, branches, functions };
}

describe("judging", () => {
  it("lets what is covered pass, and sums up by folder", () => {
    const { rows, problems } = judge([measured(["x ? 1 : 2;"], [branch(1, true), branch(1, true)]), measured([], [])]);
    expect(problems).toEqual([]);
    expect(rows).toEqual([{ folder: "a/core", lines: { covered: 6, total: 8 }, branches: { covered: 2, total: 2 }, notMeasured: 0 }]);
  });

  it("asks a reason for a branch that is not covered", () => {
    expect(judge([measured(["x ? 1 : 2;"], [branch(1, false)])]).problems).toEqual(["a/core/x.ts:1:5 never true, and no reason is given"]);
  });

  it("takes a reason behind the code for its line only", () => {
    const source = ["x ? 1 : 2; // uncovered: x is always true", "y ? 1 : 2;"];
    const { problems, excused } = judge([measured(source, [branch(1, false), branch(2, false)])]);
    expect(problems).toEqual(["a/core/x.ts:2:5 never true, and no reason is given"]);
    expect(excused).toEqual(["a/core/x.ts:1:5 never true: x is always true"]);
  });

  it("takes a reason on lines of its own for the statement that follows, over its lines", () => {
    const source = ["// uncovered: x is always true", "// because of y", "", "if (x &&", "  y) {", "  z ? 1 : 2;"];
    const { problems } = judge([measured(source, [branch(4, false), branch(5, false), branch(6, false)])]);
    expect(problems).toEqual(["a/core/x.ts:6:5 never true, and no reason is given"]);
  });

  it("reads comments as C has them", () => {
    const source = [
      "\t/*",
      "\t * uncovered: for the verifier",
      "\t */",
      "\tif (!x)",
      "\t\treturn 0;",
      "\tif (!y) /* uncovered: a race */",
      "x;",
    ];
    expect(judge([measured(source, [branch(4, false), branch(6, false)])]).problems).toEqual([]);
    expect(judge([measured(source, [branch(4, false), branch(7, false)])]).problems).toHaveLength(2);
  });

  it("refuses a reason that is empty, at a branch that is covered, or at none", () => {
    const stale = (text: string): string => `a/core/x.ts:1 "uncovered: ${text}" stands at nothing that is uncovered`;
    expect(judge([measured(["x(); // uncovered:"], [branch(1, false)])]).problems).toContain(stale(""));
    expect(judge([measured(["x(); // uncovered: why"], [branch(1, true)])]).problems).toEqual([stale("why")]);
    expect(judge([measured(["x(); // uncovered: why"], [])]).problems).toEqual([stale("why")]);
  });

  it("leaves out the function that a comment names, and counts what it left out", () => {
    const source = [
      "/* not measured: it acts */",
      "int f(int a,",
      "      int b)",
      "{",
      "  a ? 1 : 2;",
      "}",
      "int g() {",
      "  a ? 1 : 2;",
      "}",
    ];
    const functions = [
      { from: 4, to: 6 },
      { from: 7, to: 9 },
    ];
    const { rows, problems } = judge([measured(source, [branch(5, false), branch(8, false)], functions)]);
    expect(rows[0]).toMatchObject({ branches: { covered: 0, total: 1 }, notMeasured: 1 });
    expect(problems).toEqual(["a/core/x.ts:8:5 never true, and no reason is given"]);
    expect(judge([measured(source, [], [])]).problems).toEqual([
      'a/core/x.ts:1 "not measured: it acts" stands at nothing that is not measured',
    ]);
  });

  it("says it in a table", () => {
    const table = tableOf(judge([measured(["x ? 1 : 2; // uncovered: why"], [branch(1, true), branch(1, false)])]));
    expect(table).toContain("a/core    75.0 % (3 of 4)");
    expect(table).toContain("50.0 % (1 of 2)");
    expect(table).toContain("1 branches have no test but a reason");
  });
});

describe("reading", () => {
  const at = (line: number, column: number): object => ({ start: { line, column }, end: { line, column: null } });

  it("understands vitest's report: an else that is not written, operands, lines", () => {
    const path = write("x.ts", "if (a) b();\nconst c = a ?? 1;\n");
    const file = {
      statementMap: { 0: at(1, 0), 1: at(1, 7), 2: at(2, 0) },
      s: { 0: 1, 1: 0, 2: 0 },
      branchMap: {
        0: { type: "if", loc: at(1, 0), locations: [at(1, 7), { start: {}, end: {} }] },
        1: { type: "binary-expr", loc: at(2, 10), locations: [at(2, 10), at(2, 15)] },
      },
      b: { 0: [1, 0], 1: [1, 0] },
    };
    const [read] = readIstanbul(write("istanbul.json", JSON.stringify({ [path]: file })), dir);
    expect(read).toMatchObject({ file: "x.ts", lines: { covered: 1, total: 2 } });
    expect(read!.branches.map((b) => [b.line, b.isCovered, b.what])).toEqual([
      [1, true, "the condition is never true"],
      [1, false, "the condition is never false"],
      [2, true, "operand 1 is never asked"],
      [2, false, "operand 2 is never asked"],
    ]);
  });

  it("understands llvm-cov's export: each condition both ways, bodies of functions", () => {
    const path = write("x.h", "int f(int a)\n{\n  return a && 1;\n}\n");
    const data = {
      files: [{ filename: path, branches: [[3, 10, 3, 11, 7, 0, 0, 0, 4]] }],
      functions: [{ filenames: [path], regions: [[2, 1, 4, 2, 7, 0, 0, 0]] }],
    };
    const [read] = readLlvm(write("llvm.json", JSON.stringify({ data: [data], type: "llvm.coverage.json.export" })), dir);
    expect(read).toMatchObject({ file: "x.h", lines: { covered: 0, total: 0 }, functions: [{ from: 2, to: 4 }] });
    expect(read!.branches.map((b) => [b.line, b.isCovered])).toEqual([
      [3, true],
      [3, false],
    ]);
  });

  it("refuses what is not there or is of another form", () => {
    expect(() => readIstanbul(join(dir, "absent.json"), dir)).toThrow();
    expect(() => readLlvm(write("other.json", "{}"), dir)).toThrow();
  });
});
