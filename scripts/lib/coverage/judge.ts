import { dirname } from "node:path";
import type { Branch, Measured } from "./measured.ts";
import { reasonsIn, type Reason } from "./reasons.ts";

/** A folder's sums. */
export interface Row {
  readonly folder: string;
  readonly lines: Sum;
  readonly branches: Sum;
  /** Branches of functions that a comment leaves out; they are in none of the sums. */
  readonly notMeasured: number;
}

interface Sum {
  readonly covered: number;
  readonly total: number;
}

export interface Judgement {
  readonly rows: readonly Row[];
  /** Branches that are not covered, with their reasons; a line each. */
  readonly excused: readonly string[];
  /** A line each; empty: all is well. */
  readonly problems: readonly string[];
}

/** Every branch that is not covered needs a reason, and every reason such a branch. */
export function judge(files: readonly Measured[]): Judgement {
  const judged = files.map((measured) => ({ folder: dirname(measured.file), ...judgeFile(measured) }));
  const folders = [...new Set(judged.map(({ folder }) => folder))].toSorted();
  return {
    rows: folders.map((folder) =>
      sumUp(
        folder,
        judged.filter((file) => file.folder === folder),
      ),
    ),
    excused: judged.flatMap(({ excused }) => excused),
    problems: judged.flatMap(({ problems }) => problems),
  };
}

type FileJudgement = Omit<Row, "folder"> & Omit<Judgement, "rows">;

function judgeFile({ file, source, lines, branches: all, functions }: Measured): FileJudgement {
  const reasons = reasonsIn(source);
  const used = new Set<Reason>();
  const bodies = reasons.filter((r) => r.kind === "not measured").map((reason) => ({ reason, body: bodyOf(reason, functions) }));
  for (const { reason, body } of bodies) if (body !== undefined) used.add(reason);
  const branches = all.filter(({ line }) => !bodies.some(({ body }) => body !== undefined && line >= body.from && line <= body.to));

  const excused: string[] = [];
  const problems: string[] = [];
  const uncovered = branches.filter((branch) => !branch.isCovered);
  for (const branch of uncovered) {
    const reason = reasons.find((r) => r.kind === "uncovered" && r.text !== "" && isAbout(r, branch));
    const what = `${file}:${branch.line}:${branch.column} ${branch.what}`;
    if (reason === undefined) problems.push(`${what}, and no reason is given`);
    else excused.push(`${what}: ${reason.text}`);
    if (reason !== undefined) used.add(reason);
  }
  for (const reason of reasons.filter((r) => !used.has(r)))
    problems.push(`${file}:${reason.line} "${reason.kind}: ${reason.text}" stands at nothing that is ${reason.kind}`);
  const covered = branches.length - uncovered.length;
  return { lines, branches: { covered, total: branches.length }, notMeasured: all.length - branches.length, excused, problems };
}

function isAbout({ from, to }: Reason, { at }: Branch): boolean {
  return at >= from && at <= to;
}

/** The function whose head follows the comment. */
function bodyOf({ from, to }: Reason, functions: Measured["functions"]): Measured["functions"][number] | undefined {
  return functions.find((body) => body.from >= from && body.from <= to);
}

function sumUp(folder: string, files: readonly FileJudgement[]): Row {
  const add = (of: (file: FileJudgement) => number): number => files.reduce((sum, file) => sum + of(file), 0);
  return {
    folder,
    lines: { covered: add((f) => f.lines.covered), total: add((f) => f.lines.total) },
    branches: { covered: add((f) => f.branches.covered), total: add((f) => f.branches.total) },
    notMeasured: add((f) => f.notMeasured),
  };
}
