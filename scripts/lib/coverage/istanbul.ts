import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { z } from "zod";
import type { Branch, Measured } from "./measured.ts";

const position = z.object({ line: z.number().optional(), column: z.number().nullish() });
const range = z.object({ start: position, end: position });

/** vitest's json report of coverage (istanbul's form), as much of it as is read. */
const report = z.record(
  z.string(),
  z.object({
    statementMap: z.record(z.string(), range),
    s: z.record(z.string(), z.number()),
    branchMap: z.record(z.string(), z.object({ type: z.string(), loc: range, locations: z.array(range) })),
    b: z.record(z.string(), z.array(z.number())),
  }),
);

type FileReport = z.infer<typeof report>[string];

/** Reads `coverage-final.json`. @throws Error if it is not there or of another form */
export function readIstanbul(file: string, root: string): Measured[] {
  const files = report.parse(JSON.parse(readFileSync(file, "utf8")));
  return Object.entries(files).map(([path, measured]) => ({
    file: relative(root, path),
    source: readFileSync(path, "utf8"),
    lines: linesOf(measured),
    branches: branchesOf(measured),
    functions: [],
  }));
}

/** A line is covered if a statement that begins there was run. */
function linesOf({ statementMap, s }: FileReport): Measured["lines"] {
  const lines = new Map<number, boolean>();
  for (const [id, { start }] of Object.entries(statementMap))
    lines.set(start.line ?? 0, (lines.get(start.line ?? 0) ?? false) || (s[id] ?? 0) > 0);
  return { covered: [...lines.values()].filter(Boolean).length, total: lines.size };
}

function branchesOf({ branchMap, b }: FileReport): Branch[] {
  return Object.entries(branchMap).flatMap(([id, { type, loc, locations }]) =>
    locations.map((location, index): Branch => {
      const head = loc.start.line ?? 0;
      const line = location.start.line ?? head; // an `else` that is not written has no place of its own
      // A statement of its own is found by the line of its condition, a part of an expression by its own.
      const at = type === "if" ? head : line;
      return {
        line,
        column: (location.start.column ?? loc.start.column ?? 0) + 1,
        what: nameOf(type, index),
        isCovered: (b[id]?.[index] ?? 0) > 0,
        at,
      };
    }),
  );
}

function nameOf(type: string, index: number): string {
  switch (type) {
    case "if":
      return index === 0 ? "the condition is never true" : "the condition is never false";
    case "cond-expr":
      return index === 0 ? "the condition before ? is never true" : "the condition before ? is never false";
    case "binary-expr":
      return `operand ${index + 1} is never asked`;
    case "switch":
      return "this case never comes";
    default:
      return `never taken (${type})`;
  }
}
