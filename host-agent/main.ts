import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { join as joinPath } from "node:path";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { ConfigError, configHelp, readConfig } from "#lib/config/config.ts";
import { mountBpffs, NetworkEvents } from "#lib/linux/index.ts";
import { createLog } from "#lib/log/log.ts";
import type { Logger } from "#lib/log/log.ts";
import { createRegistry } from "#lib/metrics/metrics.ts";
import { serveMetrics } from "#lib/metrics/serve.ts";
import { createChannelAndClient } from "#lib/rpc/client.ts";
import { createShutdown, stopOnSignals } from "#lib/shutdown/shutdown.ts";
import type { Shutdown } from "#lib/shutdown/shutdown.ts";
import packageJson from "../package.json" with { type: "json" };
import { AGENT_CONFIG } from "./config.ts";
import type { AgentConfig } from "./config.ts";
import { Reconciler } from "./core/reconciler.ts";
import { Agent } from "./in/agent.ts";
import { HostSession } from "./in/host-session.ts";
import { IdentityStore, validity } from "./in/identity.ts";
import type { HostIdentity } from "./in/identity.ts";
import { InstanceTokens } from "./in/instance-tokens.ts";
import { join } from "./in/join.ts";
import { MappingSession } from "./in/mapping-session.ts";
import { keepRenewed } from "./in/renewal.ts";
import { soleAgent } from "./in/sole-agent.ts";
import { TokenChannel } from "./in/token-channel.ts";
import { agentMetrics } from "./metrics.ts";
import type { FeedName } from "./metrics.ts";
import { openDatapath } from "./out/datapath/index.ts";
import { MAPS } from "./out/datapath/layout.gen.ts";
import type { Upgrade } from "./out/datapath/index.ts";
import { ApiDoors } from "./out/instance/api-doors.ts";
import { NetnsInstanceDriver } from "./out/instance/netns-driver.ts";
import { VethDevices } from "./out/net/devices.ts";
import { tunnelOverhead, VxlanUnderlay } from "./out/net/underlay.ts";

/** Waits of both feeds between connections. */
const FEED_BACKOFF = { firstMs: 100, maxMs: 5_000 };
/** Waits between attempts of a step that the kernel refused. */
const STEP_BACKOFF = { firstMs: 100, maxMs: 10_000 };
/** What a pass may take before heartbeats and messages get their turn, milliseconds. */
const PASS_BUDGET_MS = 50;

/**
 * Wires one host agent, in the calling process's network namespace. Needs root. Returns when it runs; `shutdown` ends it and leaves pins,
 * devices and instances, so that traffic goes on.
 */
export async function startAgent(config: AgentConfig, log: Logger, shutdown: Shutdown): Promise<void> {
  const { stateDir, internalEndpoint, substrateAddress } = config;
  const unlock = await soleAgent({ stateDir, log, signal: shutdown.signal });
  shutdown.add("state directory", () => Promise.resolve(unlock()));
  const store = new IdentityStore(stateDir);
  let identity = await identify(config, store, log, shutdown.signal);

  const events = NetworkEvents.open(); // before anything is looked at
  shutdown.add("network events", () => Promise.resolve(events.close()));
  const channel = new TokenChannel(internalEndpoint, () => identity);
  const doors = new ApiDoors({
    endpoint: config.apiEndpoint,
    tokens: new InstanceTokens({ issue: (instanceId, signal) => channel.client().issueInstanceToken({ instanceId }, { signal }), log }),
    roots: () => identity.caBundle,
    failed: (instanceId, error) => log.error({ err: error, instance: instanceId }, "an instance's socket of the API failed"),
  });
  shutdown.add("instances' way to the API", () => {
    doors.close();
    channel.close();
    return Promise.resolve();
  });
  const underlay = new VxlanUnderlay({ hostAddress: substrateAddress });
  const substrateMtu = underlay.substrateMtu();
  const instances = new NetnsInstanceDriver({
    prefix: config.namespacePrefix ?? config.name,
    stateDir: joinPath(stateDir, "instances"),
    doors,
    onExit: () => agent.observe(),
    onUnreadable: (instanceId, error) => log.error({ err: error, instance: instanceId }, "an instance's state is lost; it starts anew"),
  });
  const devices = new VethDevices({ netnsPath: (id) => instances.netnsPath(id) });
  const datapath = openDatapath({
    bpffsDir: config.bpffsDir ?? ownBpffs(stateDir),
    hostAddress: substrateAddress,
    tunnelIfindex: underlay.ensureTunnel(),
    attach: config.attachMode,
    onUpgrade: (upgrade) => tellUpgrade(upgrade, log),
  });
  shutdown.add("data path", () => Promise.resolve(datapath.close()));

  const reconciler = new Reconciler(
    {
      datapath,
      devices,
      instances,
      underlay,
      reportFinal: (meters) => agent.reportFinal(meters),
      isSafe: (meter) => agent.isSafe(meter),
      wake: () => agent.wake(),
      clock: () => performance.now(),
      failed: (step, error) => {
        metrics.stepFailed();
        log.warn({ err: error, step }, "a step failed; it will be tried again");
      },
      lost: (what, count) => {
        metrics.lost(what, count);
        log.warn({ what, count }, "somebody removed or changed what is the agent's; it is made again");
      },
    },
    {
      guestMtu: substrateMtu - tunnelOverhead(substrateAddress),
      graceMs: config.meterGraceMs,
      lingerMs: config.meterLingerMs,
      backoff: STEP_BACKOFF,
      budgetMs: PASS_BUDGET_MS,
      seed: randomInt(2 ** 32),
    },
  );
  const registry = createRegistry();
  const metrics = agentMetrics(registry, { datapath, reconciler, connected: (feed) => sessions[feed].open });
  const agent: Agent = new Agent({
    reconciler,
    datapath,
    networkNews: () => events.take(),
    observer: {
      passed: (seconds) => metrics.passed(seconds),
      readFailed: (error) => log.error({ err: error }, "the kernel could not be read"),
    },
  });

  const credentials = () => ({ ca: identity.caBundle, cert: identity.certificate, key: identity.key });
  const substrate = () => reconciler.substrate.standing;
  const feedOptions = (feed: FeedName) => ({ log, backoff: FEED_BACKOFF, received: () => metrics.received(feed) });
  const mappingEndpoint = config.mappingEndpoint ?? internalEndpoint;
  const sessions = {
    host: new HostSession({
      ...feedOptions("host"),
      connect: () => createChannelAndClient(HostFeedServiceDefinition, { address: internalEndpoint, ...credentials() }),
      hello: () => ({
        agentVersion: packageJson.version,
        kernelRelease: release(),
        substrateMtu,
        substrate: substrate(),
        capacity: { maxInstances: config.maxInstances, maxAttachments: MAPS.endpoints.maxEntries },
      }),
      substrate,
      handler: agent.hostFeed,
    }),
    mapping: new MappingSession({
      ...feedOptions("mapping"),
      connect: () => createChannelAndClient(MappingServiceDefinition, { address: mappingEndpoint, ...credentials() }),
      handler: agent.mappingFeed,
    }),
  };
  await openMetrics(config, registry, log, shutdown, () => sessions.host.inSync !== undefined);

  reconciler.adopt();
  agent.start({ host: sessions.host, mappings: sessions.mapping });
  const renewal = keepRenewed({
    endpoint: internalEndpoint,
    store,
    log,
    signal: shutdown.signal,
    current: () => identity,
    renewed: (next) => {
      identity = next;
    },
  });
  const streams = Promise.all([sessions.host.run(shutdown.signal), sessions.mapping.run(shutdown.signal), renewal]);
  shutdown.add("feeds", async () => {
    agent.stop();
    await streams;
  });
  log.info({ host: identity.hostId, attach: datapath.attachMode }, "host agent runs");
}

/** The stored identity while it is valid, else a new certificate for the join token: for the same host, where it has joined before. */
async function identify(config: AgentConfig, store: IdentityStore, log: Logger, signal: AbortSignal): Promise<HostIdentity> {
  const stored = await store.load();
  if (stored !== undefined && validity(stored.certificate).to > Date.now()) return stored;
  if (config.joinTokenFile === undefined) {
    const why = stored === undefined ? "this host has not joined" : `the certificate of ${stored.hostId} has ended`;
    throw new ConfigError([`${why}: give --join-token-file (or PLENUM_HOST_JOIN_TOKEN_FILE)`]);
  }
  const token = await readFile(config.joinTokenFile, "utf8");
  const { internalEndpoint: endpoint, name, substrateAddress } = config;
  return join({ endpoint, token, name, substrateAddress, store, log, signal });
}

function tellUpgrade({ from, lost }: Upgrade, log: Logger): void {
  log.info({ from }, "took over from another version");
  for (const what of lost) log.error({ from }, `not carried over from another version: ${what}`);
}

function ownBpffs(stateDir: string): string {
  const directory = joinPath(stateDir, "bpf");
  mountBpffs(directory);
  return directory;
}

/** Without metrics the host still does its work: an address that cannot be had is an error in the log, not the end. */
async function openMetrics(
  config: AgentConfig,
  registry: ReturnType<typeof createRegistry>,
  log: Logger,
  shutdown: Shutdown,
  ready: () => boolean,
): Promise<void> {
  if (config.metricsAddress === "none") return;
  try {
    const server = await serveMetrics({ registry, address: config.metricsAddress, log, ready });
    shutdown.add("metrics", () => server.close());
  } catch (error) {
    log.error({ err: error, address: config.metricsAddress }, "metrics cannot be served");
  }
}

async function main(): Promise<void> {
  if (process.argv.includes("--help")) {
    process.stdout.write(`Usage: node host-agent/main.ts [options]\n\n${configHelp(AGENT_CONFIG)}\n`);
    return;
  }
  const config = readConfig(AGENT_CONFIG, { args: process.argv.slice(2), env: process.env });
  const log = createLog({ name: "host-agent", level: config.logLevel });
  const shutdown = createShutdown(log);
  stopOnSignals(shutdown);
  await startAgent(config, log, shutdown);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    process.stderr.write(`host-agent: ${error instanceof ConfigError ? error.message : ((error as Error).stack ?? String(error))}\n`);
    process.exit(1);
  });
}
