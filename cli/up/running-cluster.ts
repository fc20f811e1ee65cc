import { setTimeout as delay } from "node:timers/promises";
import { HostServiceDefinition, HostState } from "#gen/plenum/host/v1/host.ts";
import type { Host } from "#gen/plenum/host/v1/host.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { namespacePath } from "#lib/linux/index.ts";
import { isTransient } from "#lib/rpc/client-error.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { CliError } from "../cli-error.ts";
import { unlessAborted } from "./abort.ts";
import { AGENT_MAIN, agentOf, prepareHost } from "./agent.ts";
import type { Cluster, ClusterHost, ClusterOptions } from "./cluster.ts";
import { CONTROL_PLANE_SCRIPT, prepareControlPlane } from "./control-plane-files.ts";
import type { DataDir } from "./data-dir.ts";
import { REGION, ZONES } from "./layout.ts";
import type { HostPlan, Layout } from "./layout.ts";
import type { RunRecord } from "./registry.ts";
import { startRelay } from "./relay.ts";
import type { Relay } from "./relay.ts";
import { removeRun } from "./remove.ts";
import { makeSubstrate } from "./substrate.ts";
import { Supervised } from "./supervised.ts";

const CONTROL_PLANE_STOP_MS = 30_000;
const CONNECT_LIMIT_MS = 60_000;
/** Nothing tells a client that a host has connected except asking. */
const CONNECT_POLL_MS = 50;

/** See {@link Cluster}. */
export class RunningCluster implements Cluster {
  readonly #plan: Layout;
  readonly #record: RunRecord;
  readonly #dataDir: DataDir;
  readonly #options: ClusterOptions;
  readonly #controlPlane: Supervised;
  #agents: Supervised[] = [];
  #relay: Relay | undefined;
  #channel: RpcChannel | undefined;
  #stopped: Promise<void> | undefined;
  ca = "";
  operatorToken = "";
  hosts: ClusterHost[] = [];

  constructor(plan: Layout, record: RunRecord, dataDir: DataDir, options: ClusterOptions) {
    this.#plan = plan;
    this.#record = record;
    this.#dataDir = dataDir;
    this.#options = options;
    this.#controlPlane = new Supervised({
      name: "control plane",
      namespace: plan.controlPlaneNamespace,
      script: () => [...CONTROL_PLANE_SCRIPT, plan.controlPlaneConfig],
      logFile: plan.controlPlaneLog,
      tell: (line) => this.#tell(line),
      saysReady: true,
      stopMs: CONTROL_PLANE_STOP_MS,
    });
  }

  get runName(): string {
    return this.#plan.run;
  }
  get dataDir(): string {
    return this.#plan.dataDir;
  }
  get endpoint(): string {
    return `127.0.0.1:${this.#relay?.port ?? 0}`;
  }
  get caPath(): string {
    return this.#plan.caFile;
  }
  get tokenPath(): string {
    return this.#plan.tokenFile;
  }
  get metricsSocket(): string {
    return this.#plan.metricsSocket;
  }
  get cpNetns(): string {
    return namespacePath(this.#plan.controlPlaneNamespace);
  }
  get controlPlanePid(): number | undefined {
    return this.#controlPlane.pid;
  }

  async start(): Promise<void> {
    makeSubstrate(this.#plan, this.#options.substrateMtu ?? 1500);
    await this.#step("control plane: PostgreSQL, NATS, services", () => this.#startControlPlane());
    await this.#step(`hosts: ${this.#plan.hosts.map(({ name, zone }) => `${name} in ${zone}`).join(", ")}`, () => this.#startHosts());
  }

  async #startControlPlane(): Promise<void> {
    const { apiSocket } = this.#plan;
    const { ca, token } = await prepareControlPlane(this.#plan);
    this.ca = ca;
    this.operatorToken = token;
    // First the port: that it is taken should not cost the start of everything else.
    this.#relay = await startRelay(this.#options.port ?? 0, apiSocket);
    this.#controlPlane.start();
    await unlessAborted(this.#options.signal, this.#controlPlane.started());
    this.#channel = openChannel({ address: `unix:${apiSocket}`, ca: this.ca, token });
  }

  async #startHosts(): Promise<void> {
    const topology = this.#api().client(TopologyServiceDefinition);
    for (const zoneId of ZONES) await topology.createZone({ zoneId, regionId: REGION });
    const client = this.#api().client(HostServiceDefinition);
    const joined = await Promise.all(this.#plan.hosts.map((host) => prepareHost(host, this.#plan, client)));
    this.#options.signal?.throwIfAborted();
    this.#agents = this.#plan.hosts.map((host, index) =>
      agentOf(
        host,
        this.#plan,
        () => this.#options.agentMain?.(index) ?? AGENT_MAIN,
        (line) => this.#tell(line),
      ),
    );
    this.hosts = this.#plan.hosts.map((host, index) => clusterHost(host, () => this.#agents[index]?.pid));
    // In a data directory with a past, the coordinator may still hold a host's last session for open: only a new one counts.
    const before = await Promise.all(this.hosts.map(({ name }) => this.#find(name)));
    for (const agent of this.#agents) agent.start();
    const awaited = before
      .map((host, index) => ({ host, index }))
      .filter(({ host, index }) => this.#mayConnect(index, joined[index] === true, host));
    const connecting = awaited.map(({ host, index }) => this.waitConnected(index, host?.sessionEpoch));
    await unlessAborted(this.#options.signal, Promise.all(connecting));
  }

  /** Not one that its operator barred or deleted: the others start without it, and it can be unbarred. */
  #mayConnect(index: number, joined: boolean, before: Host | undefined): boolean {
    const host = this.#host(index);
    if (before?.state === HostState.BARRED) {
      host.hostId = before.hostId;
      this.#tell(`host ${host.name} is barred: \`plenum host unbar ${host.name}\` lets it connect`);
      return false;
    }
    if (!joined || before !== undefined) return true;
    this.#tell(`host ${host.name} was deleted, and does not come back`);
    return false;
  }

  async waitConnected(index: number, epoch = 0n): Promise<void> {
    const host = this.#host(index);
    for (const limit = performance.now() + CONNECT_LIMIT_MS; performance.now() < limit; await delay(CONNECT_POLL_MS)) {
      this.#options.signal?.throwIfAborted();
      const found = await this.#find(host.name);
      if (found?.state !== HostState.CONNECTED || found.sessionEpoch <= epoch) continue;
      host.hostId = found.hostId;
      return;
    }
    throw new CliError(
      `host ${host.name} does not connect`,
      `see its agent's log, ${host.logFile}, which ends:\n${this.#agent(index).logTail()}`,
    );
  }

  async #find(name: string): Promise<Host | undefined> {
    try {
      const { hosts } = await this.#api().client(HostServiceDefinition).listHosts({ pageSize: 1_000 });
      return hosts.find((host) => host.name === name);
    } catch (error) {
      if (isTransient(error)) return undefined; // the control plane is being started again
      throw error;
    }
  }

  async restartAgent(index: number): Promise<void> {
    const before = await this.#find(this.#host(index).name);
    await this.#agent(index).kill("SIGTERM");
    await this.waitConnected(index, before?.sessionEpoch);
  }

  async killAgent(index: number, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#agent(index).kill(signal);
  }

  async stopAgent(index: number): Promise<void> {
    await this.#agent(index).stop();
  }

  async startAgent(index: number): Promise<void> {
    const before = await this.#find(this.#host(index).name);
    this.#agent(index).start();
    await this.waitConnected(index, before?.sessionEpoch);
  }

  async killControlPlane(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#controlPlane.kill(signal);
    await this.#controlPlane.ready;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Agents first: what they report would be refused. Whatever one part throws, the others are ended, and removeRun takes the rest. */
  async #stop(): Promise<void> {
    this.#channel?.close();
    const relay = this.#relay;
    const results = await Promise.allSettled(this.#agents.map((agent) => agent.stop()));
    if (relay !== undefined) results.push(...(await Promise.allSettled([relay.close()])));
    results.push(...(await Promise.allSettled([this.#controlPlane.stop()])));
    try {
      await removeRun(this.#record);
    } finally {
      this.#dataDir.release();
    }
    const failed = results.filter((result) => result.status === "rejected");
    if (failed.length > 0)
      throw new AggregateError(
        failed.map(({ reason }) => reason as unknown),
        "the cluster did not stop cleanly",
      );
  }

  async #step(what: string, body: () => Promise<void>): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const start = performance.now();
    await body();
    this.#tell(`${what} (${((performance.now() - start) / 1_000).toFixed(1)} s)`);
  }

  #tell(line: string): void {
    if (this.#stopped === undefined) this.#options.tell?.(line);
  }

  #api(): RpcChannel {
    if (this.#channel === undefined) throw new Error("the control plane has not been started");
    return this.#channel;
  }

  #host(index: number): ClusterHost {
    const host = this.hosts[index];
    if (host === undefined) throw new RangeError(`there is no host ${index}; there are ${this.hosts.length}`);
    return host;
  }

  #agent(index: number): Supervised {
    const agent = this.#agents[index];
    if (agent === undefined) throw new RangeError(`there is no host ${index}; there are ${this.#agents.length}`);
    return agent;
  }
}

function clusterHost(host: HostPlan, pid: () => number | undefined): ClusterHost {
  return {
    name: host.name,
    zone: host.zone,
    netns: namespacePath(host.namespace),
    address: host.address,
    device: host.device,
    hostId: "",
    bpffs: host.bpffs,
    logFile: host.logFile,
    get agentPid() {
      return pid();
    },
  };
}
