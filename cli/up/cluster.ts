import { CliError, ExitCode } from "../cli-error.ts";
import { openDataDir } from "./data-dir.ts";
import { layout } from "./layout.ts";
import { isRunning, register, registeredRuns } from "./registry.ts";
import { removeDeadRuns, removeRun } from "./remove.ts";
import { RunningCluster } from "./running-cluster.ts";

export interface ClusterOptions {
  /** Kept between runs, unless `temporary`. At most 80 bytes, open to walk through (PostgreSQL runs as another account). */
  dataDir: string;
  /** 1 to 100; default 2, spread over two zones. */
  hosts?: number;
  /** The data directory is removed with the cluster. */
  temporary?: boolean;
  /** Name of the run if the data directory is new (`newRunName()`); default: some. */
  runName?: string;
  /** On 127.0.0.1; default 0: any free one. */
  port?: number;
  /** MTU between hosts, default 1500; guests have 50 less (D12). */
  substrateMtu?: number;
  /** Progress and what goes wrong later, one line each, for people. Default: nothing. */
  tell?: (line: string) => void;
  /** Entry of the agent of a host (its number), asked at each start of one; default: this version's. Another version's is an upgrade. */
  agentMain?: (host: number) => string | undefined;
  /** Aborted: the start is given up and everything made so far is removed. */
  signal?: AbortSignal;
}

/** One host of a running cluster. */
export interface ClusterHost {
  name: string;
  zone: string;
  /** Path of its network namespace, for `nsenter --net=`. */
  netns: string;
  /** On the substrate. */
  address: string;
  /** Device of the substrate inside the namespace. */
  device: string;
  hostId: string;
  bpffs: string;
  logFile: string;
  /** Undefined while its agent is not running. */
  readonly agentPid: number | undefined;
}

/** A whole installation on this machine: control plane and hosts in network namespaces. Hosts are numbered as in `hosts`, from 0. */
export interface Cluster {
  runName: string;
  dataDir: string;
  /** "127.0.0.1:<port>", TLS. */
  endpoint: string;
  caPath: string;
  ca: string;
  operatorToken: string;
  tokenPath: string;
  metricsSocket: string;
  /** Path of the control plane's network namespace; the substrate's bridge `sub0` is in it. */
  cpNetns: string;
  hosts: ClusterHost[];
  readonly controlPlanePid: number | undefined;
  /** TERM; resolves when its successor's session is open. */
  restartAgent(index: number): Promise<void>;
  /** Default KILL. Resolves when the process has ended; its successor is started at once. */
  killAgent(index: number, signal?: NodeJS.Signals): Promise<void>;
  /** Ends the agent and leaves it ended, until `startAgent`. */
  stopAgent(index: number): Promise<void>;
  /** Resolves when the session is open. */
  startAgent(index: number): Promise<void>;
  /** Resolves when the host has a session with a higher epoch than `epoch` (default 0: any). */
  waitConnected(index: number, epoch?: bigint): Promise<void>;
  /** Default KILL. Resolves when its successor serves. */
  killControlPlane(signal?: NodeJS.Signals): Promise<void>;
  /** Removes everything: processes, namespaces, mounts, and a temporary data directory. Safe to repeat. */
  stop(): Promise<void>;
}

/** Starts an installation on this machine (root only). @throws CliError; whatever was made by then is removed again */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const swept = await removeDeadRuns();
  if (swept.length > 0) options.tell?.(`removed what killed runs had left: ${swept.join(", ")}`);
  const dataDir = openDataDir(options.dataDir, options.runName);
  const { path, run } = dataDir;
  refuseCopy(path, run);
  const record = register({ run, dataDir: path, temporary: options.temporary ?? false });
  await removeRun(record, { keep: true });
  const cluster = new RunningCluster(layout(run, path, options.hosts ?? 2), record, dataDir, options);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** A copied data directory has the name of the run that it was copied from: while that one lives, each would take the other's namespaces. */
function refuseCopy(path: string, run: string): void {
  const other = registeredRuns().find((record) => record.run === run && record.dataDir !== path && isRunning(record));
  if (other === undefined) return;
  throw new CliError(
    `${path} is a copy of ${other.dataDir}, which is in use as run ${run}`,
    `remove ${path}/run to give the copy a name of its own`,
    ExitCode.CONFLICT,
  );
}
