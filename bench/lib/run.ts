import { endAllProcesses } from "./process.ts";
import { Report } from "./report.ts";

/** What is undone at the end of a run, newest first. */
export type Cleanup = (undo: () => void | Promise<void>) => void;

/**
 * A benchmark's frame: everything told to `cleanup` is undone and all its processes are ended, also on Ctrl-C (what a KILL leaves is for
 * lib/linux/testing/leftovers.ts). Exit code 1 if the body throws; nothing is asserted about time.
 */
export async function bench(name: string, body: (report: Report, cleanup: Cleanup) => Promise<void>): Promise<void> {
  const undos: (() => void | Promise<void>)[] = [];
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => (ending ??= undoAll(undos));
  const interrupted = (signal: NodeJS.Signals): void => {
    process.stderr.write(`\n${name}: ${signal}, cleaning up\n`);
    void end().finally(() => process.exit(130));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupted);
  if (process.getuid?.() !== 0) {
    process.stderr.write(`plenum: bench/${name}.ts makes network namespaces: only root may\n`);
    process.exit(1);
  }
  const report = new Report(name);
  try {
    await body(report, (undo) => undos.push(undo));
  } catch (error) {
    if (ending !== undefined) return; // what failed is what Ctrl-C took away
    process.exitCode = 1;
    process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
  if (ending === undefined) report.save();
  await end();
}

async function undoAll(undos: (() => void | Promise<void>)[]): Promise<void> {
  await endAllProcesses();
  for (const undo of undos.reverse()) {
    try {
      await undo();
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`not undone: ${String(error)}\n`);
    }
  }
}
