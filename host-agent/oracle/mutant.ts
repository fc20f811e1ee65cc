import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compilerFlags } from "../bpf/build.ts";

const SOURCES = join(import.meta.dirname, "../bpf");
const PATCHES = join(import.meta.dirname, "mutants");

/** Names of the patches in mutants/. */
export function mutantNames(): string[] {
  return readdirSync(PATCHES)
    .filter((file) => file.endsWith(".patch"))
    .map((file) => file.slice(0, -".patch".length));
}

/** The test object of one mutant, compiled below `dir`. @throws Error if its patch no longer applies, or it does not compile */
export async function buildMutant(name: string, dir: string): Promise<string> {
  const sources = join(dir, name);
  cpSync(SOURCES, sources, { recursive: true });
  applyPatch(readFileSync(join(PATCHES, `${name}.patch`), "utf8"), sources, name);
  const objectPath = join(dir, `${name}.o`);
  const source = join(sources, "test/plenum_test.bpf.c");
  // Without -Werror: what a mutant leaves unused is no fault of it.
  const clang = spawn("clang", [...compilerFlags(), "-c", source, "-o", objectPath], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  clang.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(clang, "close")) as [number | null];
  if (code !== 0) throw new Error(`mutant ${name} does not compile: ${said}`);
  return objectPath;
}

/**
 * Applies a unified diff by its text: each hunk where its old lines stand, nearest to where they stood. So it survives edits around it
 * that `patch` would not.
 */
function applyPatch(patch: string, dir: string, name: string): void {
  const file = /^--- a\/(.+)$/m.exec(patch)?.[1];
  if (file === undefined) throw new Error(`mutants/${name}.patch names no file`);
  let lines = readFileSync(join(dir, file), "utf8").split("\n");
  for (const hunk of patch.split(/^@@ /m).slice(1)) {
    const [head = "", ...body] = hunk.split("\n").filter((line, i) => i === 0 || line !== "");
    const before = body.filter((line) => !line.startsWith("+")).map((line) => line.slice(1));
    const after = body.filter((line) => !line.startsWith("-")).map((line) => line.slice(1));
    const stood = Number(/^-(\d+)/.exec(head)?.[1]) - 1;
    const places = [...lines.keys()].filter((at) => before.every((line, i) => lines[at + i] === line));
    const [place] = places.toSorted((a, b) => Math.abs(a - stood) - Math.abs(b - stood));
    if (place === undefined)
      throw new Error(`mutants/${name}.patch no longer applies: ${file} has no\n${before.join("\n")}\nMake it anew (mutants/README.md)`);
    lines = lines.toSpliced(place, before.length, ...after);
  }
  writeFileSync(join(dir, file), lines.join("\n"));
}
