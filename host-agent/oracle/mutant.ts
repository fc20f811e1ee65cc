import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { compilerFlags } from "../bpf/build.ts";
import { applyPatch } from "../testing/apply-patch.ts";

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
  applyPatch(join(PATCHES, `${name}.patch`), sources);
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
