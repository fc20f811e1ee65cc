import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Applies a unified diff by its text: each hunk where its old lines stand, nearest to where they stood. So it survives edits around it
 * that `patch` would not.
 *
 * @throws Error where they stand nowhere
 */
export function applyPatch(path: string, dir: string): void {
  const patch = readFileSync(path, "utf8");
  const file = /^--- a\/(.+)$/m.exec(patch)?.[1];
  if (file === undefined) throw new Error(`${path} names no file`);
  let lines = readFileSync(join(dir, file), "utf8").split("\n");
  for (const hunk of patch.split(/^@@ /m).slice(1)) {
    const [head = "", ...body] = hunk.split("\n").filter((line, i) => i === 0 || line !== "");
    const before = body.filter((line) => !line.startsWith("+")).map((line) => line.slice(1));
    const after = body.filter((line) => !line.startsWith("-")).map((line) => line.slice(1));
    const stood = Number(/^-(\d+)/.exec(head)?.[1]) - 1;
    const places = [...lines.keys()].filter((at) => before.every((line, i) => lines[at + i] === line));
    const [place] = places.toSorted((a, b) => Math.abs(a - stood) - Math.abs(b - stood));
    if (place === undefined)
      throw new Error(
        `${path} no longer applies: ${file} has no\n${before.join("\n")}\nMake it anew (host-agent/oracle/mutants/README.md)`,
      );
    lines = lines.toSpliced(place, before.length, ...after);
  }
  writeFileSync(join(dir, file), lines.join("\n"));
}
