import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Something that a test makes and that would outlive its process. Undoing it is harmless where it is gone already. */
export type Leftover =
  /** Every named namespace whose name begins so, with the processes in it (they get KILL). At least 6 characters, this run's own. */
  { kind: "namespaces"; prefix: string } | { kind: "mount"; dir: string } | { kind: "directory"; dir: string };

let journal: string | undefined;

/**
 * Tells what is about to be made, so that it is undone however this process ends. A test still cleans up behind itself; this is for a
 * run that is interrupted: the test runner kills its workers outright, so that no handler in them can be relied on. A process of its
 * own session waits for our end (its standard input closes) and undoes what the journal names, newest first.
 */
export function willLeave(...leftovers: readonly Leftover[]): void {
  journal ??= startJanitor();
  appendFileSync(journal, leftovers.map((leftover) => `${JSON.stringify(leftover)}\n`).join(""));
}

function startJanitor(): string {
  const dir = mkdtempSync(join(tmpdir(), "plenum-leftovers-"));
  const path = join(dir, "journal");
  appendFileSync(path, `${JSON.stringify({ kind: "directory", dir } satisfies Leftover)}\n`);
  const janitor = spawn(process.execPath, [join(import.meta.dirname, "leftovers-janitor.ts"), path], {
    detached: true,
    stdio: ["pipe", "ignore", "inherit"],
    env: {},
  });
  janitor.unref();
  // A pipe is a socket here, and would keep the test's process waiting for its janitor.
  if ("unref" in janitor.stdin && typeof janitor.stdin.unref === "function") janitor.stdin.unref();
  return path;
}
