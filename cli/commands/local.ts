import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { CliError, ExitCode } from "../cli-error.ts";
import { CONTEXT_FILE, CURRENT_POINTER } from "../connection.ts";
import type { ContextFile } from "../connection.ts";
import { startCluster } from "../up/cluster.ts";
import type { Cluster } from "../up/cluster.ts";
import { DEFAULT_DATA_DIR } from "../up/data-dir.ts";
import { describeCluster } from "../up/describe.ts";
import { MAX_HOSTS } from "../up/layout.ts";
import { isRunning, registeredRuns } from "../up/registry.ts";
import type { RunRecord } from "../up/registry.ts";
import { removeDeadRuns } from "../up/remove.ts";
import { checkRequirements } from "../up/requirements.ts";
import { untilSignal } from "../up/signals.ts";
import { parseNumber } from "../values.ts";

interface UpOptions {
  dataDir?: string;
  hosts: string;
  port: string;
  mtu: string;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** up, down. */
export function addLocalCommands(program: Command): void {
  program
    .command("up")
    .description("run everything on this machine: control plane and hosts in network namespaces, until Ctrl-C (root)")
    .option("--hosts <n>", `1 to ${MAX_HOSTS}, spread over two zones`, "2")
    .option("--port <port>", "of the API on 127.0.0.1; 0: any free one", "7443")
    .option("--mtu <bytes>", "MTU between hosts, 1280 to 9000; guests have 50 less", "1500")
    .addHelpText(
      "after",
      `\nData is kept in --data-dir (default ${DEFAULT_DATA_DIR}).\n\nExample:\n  plenum up --hosts 3 --data-dir /srv/plenum`,
    )
    .action(async (_options: object, command: Command) => up(command.optsWithGlobals<UpOptions>()));
  program
    .command("down")
    .description("end what `plenum up` runs here, and remove what killed runs have left (root)")
    .addHelpText("after", "\nWithout --data-dir: every run on this machine but temporary ones that are alive (demo, tests).")
    .action(async (_options: object, command: Command) => down(command.optsWithGlobals<{ dataDir?: string }>().dataDir));
}

/** A control plane in a namespace of its own cannot reach servers elsewhere, and one that is not used must not look as if it were. */
function refuseServers(): void {
  const [given] = ["DATABASE_URL", "NATS_URL"].filter((name) => (process.env[name] ?? "") !== "");
  if (given === undefined) return;
  throw new CliError(
    `${given} is set, and \`plenum up\` runs a PostgreSQL and a NATS of its own`,
    `unset ${given}, or install with your own servers: \`plenum bootstrap\` and \`plenum serve\` (docs/guides/install.md)`,
    ExitCode.USAGE,
  );
}

async function up(options: UpOptions): Promise<void> {
  refuseServers();
  checkRequirements();
  const stop = untilSignal();
  const cluster = await startCluster({
    dataDir: resolve(options.dataDir ?? process.env["PLENUM_DATA_DIR"] ?? DEFAULT_DATA_DIR),
    hosts: parseNumber(options.hosts, 1, MAX_HOSTS, "number of hosts"),
    port: parseNumber(options.port, 0, 65_535, "port"),
    substrateMtu: parseNumber(options.mtu, 1_280, 9_000, "MTU"),
    tell: say,
    signal: stop.signal,
  }).catch((error: unknown) => {
    if (stop.signal.aborted) return undefined; // asked to end while starting: everything is removed already
    throw error;
  });
  if (cluster === undefined) return say("ended before it was up; nothing is left");
  try {
    writeContext(cluster);
    say(describeCluster(cluster));
    await stop.received;
    say("ending: agents, guests, control plane, namespaces …");
  } finally {
    await cluster.stop();
  }
  say("ended; nothing but the data directory is left");
}

/** So that `plenum` on this machine finds it by itself. Goes with the run (cli/up/remove.ts). */
function writeContext(cluster: Cluster): void {
  const context: ContextFile = { endpoint: cluster.endpoint, caFile: cluster.caPath, tokenFile: cluster.tokenPath, run: cluster.runName };
  writeFileSync(join(cluster.dataDir, CONTEXT_FILE), JSON.stringify(context, null, 2));
  mkdirSync(dirname(CURRENT_POINTER), { recursive: true });
  writeFileSync(CURRENT_POINTER, `${cluster.dataDir}\n`);
}

const STOP_LIMIT_MS = 60_000;

async function down(dataDir: string | undefined): Promise<void> {
  if (process.getuid?.() !== 0) throw new CliError("only root may end what root runs", "run it as root (sudo)", ExitCode.USAGE);
  const wanted = dataDir === undefined ? undefined : resolve(dataDir);
  const runs = registeredRuns().filter((run) => (wanted === undefined ? !run.temporary || !isRunning(run) : run.dataDir === wanted));
  if (runs.length === 0) return say("nothing runs here");
  for (const run of runs) await end(run);
}

async function end(run: RunRecord): Promise<void> {
  if (!isRunning(run)) {
    await removeDeadRuns((record) => record.run === run.run);
    return say(`${run.run}: its launcher was gone; removed what it had left`);
  }
  process.kill(run.pid, "SIGTERM");
  // It is not our child: no event tells of its end.
  for (const limit = performance.now() + STOP_LIMIT_MS; isRunning(run); await delay(50)) {
    if (performance.now() > limit)
      throw new CliError(`${run.run}: process ${run.pid} does not end`, `kill it, then run \`plenum down\` again`);
  }
  say(`${run.run}: ended`);
}
