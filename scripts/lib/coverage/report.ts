import type { Judgement, Row } from "./judge.ts";

/** A short table: lines and branches by folder, and how many branches have a reason instead of a test. */
export function tableOf({ rows, excused }: Judgement): string {
  const cells = rows.map((row) => [row.folder, share(row.lines), share(row.branches), reasonsOf(row)]);
  const table = [["coverage", "lines", "branches", "branches with a reason"], ...cells];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n${excused.length} branches have no test but a reason, each at its place ("uncovered: …")\n`;
}

function share({ covered, total }: Row["lines"]): string {
  return total === 0 ? "–" : `${((100 * covered) / total).toFixed(1)} % (${covered} of ${total})`;
}

function reasonsOf({ branches, notMeasured }: Row): string {
  const missing = String(branches.total - branches.covered);
  return notMeasured === 0 ? missing : `${missing}; ${notMeasured} more not measured`;
}
