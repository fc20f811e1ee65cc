import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { applyPatch } from "../apply-patch.ts";

const ROOT = join(import.meta.dirname, "../../..");
const PATCHES = import.meta.dirname;

/** A checkout of a version that never was: this one's agent with other maps, and programs compiled against them. */
export interface OtherVersion {
  /** Its root directory. */
  root: string;
  /** Its agent, as this one's host-agent/main.ts. */
  agentMain: string;
  /** Its host-agent/out/datapath/testing/agent-process.ts. */
  datapathProcess: string;
}

/**
 * Makes it below `dir`, by the patches beside this file: a field in the middle of an endpoint, of a connection and of a meter, and a map
 * of another size. @throws Error if a patch no longer applies, or the programs do not compile
 */
export function makeOtherVersion(dir: string): OtherVersion {
  const root = join(dir, "other-version");
  mkdirSync(root);
  for (const part of ["host-agent", "lib", "gen", "package.json"]) {
    const keep = (path: string): boolean => !/\.test\.ts$|\/oracle(\/|$)/.test(path);
    cpSync(join(ROOT, part), join(root, part), { recursive: true, filter: keep });
  }
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  for (const file of readdirSync(PATCHES)) if (file.endsWith(".patch")) applyPatch(join(PATCHES, file), join(root, "host-agent/bpf"));
  execFileSync(process.execPath, [join(root, "host-agent/out/datapath/generate-layout.ts")], { stdio: "inherit" });
  return {
    root,
    agentMain: join(root, "host-agent/main.ts"),
    datapathProcess: join(root, "host-agent/out/datapath/testing/agent-process.ts"),
  };
}
