import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { compare } from "./compare.ts";
import { buildMutant } from "./mutant.ts";
import { Program } from "./program.ts";
import { STEPS, tell } from "./tell.ts";

// A process that judges mutants, one after the other, by the names that its parent sends: the comparison is nothing but computing, so
// there is one for each processor. It ends with its parent's channel.

/** Stories that a mutant may live through at most. */
const PATIENCE = 300;

/** What became of a mutant. */
export type Judgement = { readonly noticedBy: number } | { readonly livesThrough: number } | { readonly failed: string };

async function judge(program: Program, name: string, directory: string): Promise<Judgement> {
  program.load(await buildMutant(name, directory));
  for (let seed = 1; seed <= PATIENCE; seed++) {
    if (compare(program, tell(seed, program.world, STEPS)) !== undefined) return { noticedBy: seed };
    await setImmediate(); // a parent that died is heard of only here
  }
  return { livesThrough: PATIENCE };
}

function serve(): void {
  const directory = mkdtempSync(join(tmpdir(), "plenum-mutants-"));
  const program = new Program();
  process.on("message", (name: string) => {
    judge(program, name, directory).then(
      (judgement) => process.send?.(judgement),
      (error: unknown) => process.send?.({ failed: String(error) } satisfies Judgement),
    );
  });
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
  process.on("disconnect", () => {
    program.dispose();
    process.exit();
  });
}

if (import.meta.main) serve();
