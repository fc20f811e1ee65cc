import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { z } from "zod";
import type { Branch, Measured } from "./measured.ts";

// `llvm-cov export`: a branch is [line, column, end line, end column, times true, times false, …], a region [line, column, end line, …].
const branch = z.tuple([z.number(), z.number(), z.number(), z.number(), z.number(), z.number()]).rest(z.number());
const region = z.tuple([z.number(), z.number(), z.number(), z.number()]).rest(z.number());
const report = z.object({
  data: z.tuple([
    z.object({
      files: z.array(z.object({ filename: z.string(), branches: z.array(branch) })),
      functions: z.array(z.object({ filenames: z.array(z.string()), regions: z.array(region) })),
    }),
  ]),
});

/** Reads what `host-agent/oracle/coverage.kernel.test.ts` left. @throws Error if it is not there or of another form */
export function readLlvm(file: string, root: string): Measured[] {
  const [{ files, functions }] = report.parse(JSON.parse(readFileSync(file, "utf8"))).data;
  return files.map(({ filename, branches }) => ({
    file: relative(root, filename),
    source: readFileSync(filename, "utf8"),
    // Those of the half that acts would be among them.
    lines: { covered: 0, total: 0 },
    branches: branches.flatMap(([line, column, , , yes, no]): Branch[] => [
      { line, column, what: "never true", isCovered: yes > 0, at: line },
      { line, column, what: "never false", isCovered: no > 0, at: line },
    ]),
    // The first region is the whole body.
    functions: functions.flatMap(({ filenames, regions }) =>
      filenames[0] === filename && regions[0] !== undefined ? [{ from: regions[0][0], to: regions[0][2] }] : [],
    ),
  }));
}
