// `npm run demo`: an installation on this machine, two customers, and what Plenum claims, measured. Leaves nothing behind.
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explain } from "../cli-error.ts";
import { startCluster } from "../up/cluster.ts";
import type { Cluster } from "../up/cluster.ts";
import { newRunName } from "../up/registry.ts";
import { checkRequirements } from "../up/requirements.ts";
import { untilSignal } from "../up/signals.ts";
import { unlessAborted } from "../up/abort.ts";
import { leftoversOf } from "./leftovers.ts";
import { Report } from "./report.ts";
import { playDemo } from "./play.ts";

const report = new Report((text) => void process.stdout.write(text));

/** The exit code: 0 only if every claim held and nothing is left. */
async function main(): Promise<number> {
  checkRequirements();
  const stop = untilSignal();
  const dataDir = mkdtempSync(join(tmpdir(), "plenum-demo-"));
  chmodSync(dataDir, 0o755); // PostgreSQL runs as another account below it
  let cluster: Cluster | undefined;
  let failure: Error | undefined;
  const runName = newRunName();
  try {
    report.progress("starting a control plane and two hosts, each in a network namespace of its own");
    cluster = await startCluster({
      dataDir,
      runName,
      temporary: true,
      hosts: 2,
      tell: (line) => report.progress(line),
      signal: stop.signal,
    });
    await unlessAborted(stop.signal, playDemo(cluster, report));
  } catch (error) {
    failure = error as Error;
  }
  if (stop.signal.aborted) report.progress("interrupted: taking everything down");
  await cluster?.stop();
  const left = leftoversOf(runName, dataDir);
  process.stdout.write("\n");
  for (const line of left) report.progress(`LEFT BEHIND: ${line}`);
  if (left.length === 0) report.progress("taken down: no namespace, mount, pin, process or file of this run is left");
  if (stop.signal.aborted) return left.length === 0 ? 130 : 1;
  if (failure !== undefined) throw failure;
  report.progress(`${report.count - report.failed} of ${report.count} claims hold`);
  return report.failed === 0 && left.length === 0 ? 0 : 1;
}

const code = await main().catch((error: unknown) => {
  const { text, exitCode } = explain(error);
  process.stderr.write(`${text}\n`);
  return exitCode;
});
process.exit(code); // what was interrupted may still hold connections
