import { describe, expect, it } from "vitest";
import { repositoryFiles, textOf } from "./repository.ts";

// docs/design/rows.md says which test shows which clause of which row: a table that nobody holds true is soon a lie.

/** Rows that the table must speak of. */
const ROWS = ["N1", "N2", "N3", "N4", "N7", "N10", "N11", "N13", "N14", "N17", "B8", "B9"];

const cells = textOf("docs/design/rows.md")
  .split("\n")
  .filter((line) => /^\| [A-Z]\d+ /.test(line))
  .map((line) => line.slice(1, -1).split(" | "))
  .map((parts) => parts.map((part) => part.trim()));
const claims = cells.map(([row = "", clause = "", file = "", test = ""]) => ({
  ...{ row, clause, test },
  file: /^\[([^\]]+)\]\(\.\.\/\.\.\/\1\)$/.exec(file)?.[1] ?? "",
}));

describe("the table of rows", () => {
  it("has lines of four cells, and speaks of every row", () => {
    expect(cells.filter((parts) => parts.length !== 4 || parts.includes(""))).toEqual([]);
    expect([...new Set(claims.map(({ row }) => row))].toSorted()).toEqual(ROWS.toSorted());
  });

  it("names tests that there are", () => {
    const tests = new Set(repositoryFiles("*.test.ts"));
    expect(claims.filter(({ file }) => !tests.has(file))).toEqual([]);
    // A test's name in its source: the text that a call begins with, of `it`, of `test`, of what `each` makes.
    const names = (file: string): string[] => [...textOf(file).matchAll(/\(\s*(["`])((?:(?!\1).)*)\1,/g)].map((match) => match[2] ?? "");
    const missing = claims.filter(({ file, test }) => tests.has(file) && !names(file).some((name) => name.includes(test)));
    expect(missing.map(({ file, test }) => `${file}: ${test}`)).toEqual([]);
  });

  it("names tests that name their row", () => {
    const silent = claims.filter(({ file, row }) => !new RegExp(`^//.*\\b${row}\\b`, "m").test(textOf(file)));
    expect(silent.map(({ file, row }) => `${file}: ${row}`)).toEqual([]);
  });
});
