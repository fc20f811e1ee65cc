import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentItem, HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { newJoinToken } from "#lib/auth/join-token.ts";
import { newId } from "#lib/ids/ids.ts";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { Lab } from "./out/datapath/testing/lab.ts";
import { instanceUid } from "./out/instance/guest-process.ts";
import { processesOf } from "./out/instance/process-identity.ts";
import { AgentProcess } from "./testing/agent-process.ts";
import { FeedServer, target } from "./testing/feed-server.ts";
import type { ScriptedSession } from "./testing/feed-server.ts";
import { attachment, attachmentItem, instance, instanceItem, ruleset, rulesetItem } from "./testing/feed-world.ts";
import { inNamespace } from "./testing/guest-shell.ts";

/**
 * Two real agents on two hosts, fed by a scripted control plane over mTLS on a unix socket, which crosses network namespaces.
 */

const VNI = 101;
const NETWORK = 101n;
const PING_BYTES = 84n; // IP header 20, ICMP header 8, 56 of data

interface Host {
  name: string;
  hostId: string;
  address: string;
  netns: string;
  agent: AgentProcess;
  version: bigint;
  items: Map<string, HostItem>;
  session: ScriptedSession | undefined;
}

const directory = mkdtempSync(join(tmpdir(), `plenum-agent-${process.pid}-`));
const prefix = `pla${process.pid}`;
const hosts: Host[] = [];
let lab: Lab;
let feed: FeedServer;

beforeAll(async () => {
  willLeave({ kind: "directory", dir: directory }, { kind: "namespaces", prefix });
  lab = new Lab();
  const ca = await openCertificateAuthority(join(directory, "ca"));
  feed = await FeedServer.start({ ca, address: `unix:${join(directory, "feed.sock")}` });
  feed.networks.set(NETWORK, { vni: VNI, version: 1n, entries: new Map() });
  feed.onJoin = ({ name }) => hosts.find((host) => host.name === name)?.hostId ?? "";
  feed.onSession = (session, hostId) => {
    const host = hosts.find((one) => one.hostId === hostId);
    if (host === undefined) throw new Error(`no host ${hostId}`);
    host.session = session;
    session.opened(hostId);
    session.snapshot(host.version, [...host.items.values()]);
  };
  writeFileSync(join(directory, "token"), newJoinToken(ca.fingerprint), { mode: 0o600 });
  for (const n of [1, 2]) addHost(n);
  for (const { agent } of hosts) agent.start();
  for (const host of hosts) await inSync(host);
});

afterAll(async () => {
  for (const { agent } of hosts) await agent.end("SIGKILL");
  await feed?.stop();
  for (const name of linux.listNamedNamespaces().filter((one) => one.startsWith(prefix))) {
    const inode = linux.withNamespace(linux.namespacePath(name), () => readlinkSync(linux.OWN_NAMESPACE));
    for (const n of [1, 2]) for (const pid of processesOf(inode, instanceUid(`i-${n}`))) process.kill(pid, "SIGKILL");
    linux.deleteNamedNamespace(name);
  }
  for (const { name } of hosts) linux.unmount(join(directory, name, "bpf"));
  lab?.dispose();
  rmSync(directory, { recursive: true, force: true });
});

function addHost(n: number): void {
  const name = `h${n}`;
  const address = `198.18.0.${n}`;
  const netns = lab.machine(name, address);
  linux.withNetlink(netns, (nl) => linux.setLink(nl, 1, { up: true }));
  const stateDir = join(directory, name);
  willLeave({ kind: "mount", dir: join(stateDir, "bpf") });
  const agent = new AgentProcess(netns, {
    "state-dir": stateDir,
    "internal-endpoint": feed.address,
    "substrate-address": address,
    "join-token-file": join(directory, "token"),
    name,
    "namespace-prefix": `${prefix}${name}`,
    "meter-linger-ms": "500",
  });
  const allow = [true, false].map((egress) => ({
    egress,
    protocol: 0,
    portFrom: 0,
    portTo: 65_535,
    peerCidr: "0.0.0.0/0",
    peerIsGroup: false,
    peerGroupSetIds: [],
    peerGroupId: "",
  }));
  const items = new Map([["ruleset 1", ruleset(rulesetItem(1, { rules: allow }))]]);
  hosts.push({ name, hostId: newId("host"), address, netns, agent, version: 1n, items, session: undefined });
}

const hostOf = (n: number): Host => hosts[n - 1] as Host;

/** The newest session of a host, once it has answered its snapshot. */
async function inSync(host: Host, after?: ScriptedSession): Promise<ScriptedSession> {
  const limit = AbortSignal.timeout(15_000);
  while (host.session === undefined || host.session === after) {
    if (limit.aborted) throw new Error(`${host.name} does not connect:\n${host.agent.log}`);
    await delay(20);
  }
  await host.session.until((s) => s.applied[0]);
  return host.session;
}

function tell(host: Host, ...items: HostItem[]): void {
  host.version += 1n;
  for (const item of items) host.items.set(idOf(item), item);
  host.session?.delta(host.version, items);
}

function idOf({ item }: HostItem): string {
  if (item?.$case === "instance") return item.value.instanceId;
  if (item?.$case === "ruleset") return `ruleset ${item.value.rulesetId}`;
  return item?.$case === "attachment" ? item.value.attachmentId : "";
}

/** Attachment n on instance n on host n. */
const item = (n: number, changes: Partial<AttachmentItem> = {}): AttachmentItem =>
  attachmentItem(n, n, { networkId: NETWORK, vni: VNI, addresses: [`10.0.101.${n}/24`], ...changes });

/** Runs instance n with its attachment on host n and tells everybody; returns the instance's namespace. */
async function run(n: number): Promise<string> {
  const host = hostOf(n);
  const argv = ["/bin/sleep", "600"];
  tell(host, instance(instanceItem(n, { argv })), attachment(item(n)));
  const session = host.session as ScriptedSession;
  await session.attachment(`eni-attach-${n}`, AppliedState.PRESENT);
  feed.map(NETWORK, `10.0.101.${n}/32`, target(n, host.address));
  const status = await session.until((s) =>
    s.applied.flatMap((a) => a.instances).find((i) => i.instanceId === `i-${n}` && i.processRunning),
  );
  return status.netnsPath;
}

/** Every host has applied the network's newest version. */
async function reachable(): Promise<void> {
  const version = feed.networks.get(NETWORK)?.version ?? 0n;
  for (const { session } of hosts) await session?.until((s) => s.applied.some((a) => (a.networkVersions.get(NETWORK) ?? 0n) >= version));
}

let guests: string[];

test("two hosts join, and their instances reach each other", async () => {
  guests = [await run(1), await run(2)];
  await reachable();
  const ping = await inNamespace(guests[0] ?? "", "ping", "-c3", "-i0.1", "-W2", "10.0.101.2");
  expect(ping.output).toContain(" 0% packet loss");
  const metrics = await inNamespace(hostOf(1).netns, "curl", "-s", "http://127.0.0.1:9402/metrics");
  expect(metrics.output).toMatch(/^plenum_host_endpoints 1$/m);
  expect(metrics.output).toMatch(/^plenum_host_feed_connected\{feed="mapping"\} 1$/m);
});

test("an agent killed and started again under 100 packets a second loses none, nor any count, nor a process", async () => {
  const host = hostOf(1);
  const before = host.session;
  const ping = inNamespace(guests[0] ?? "", "ping", "-c400", "-i0.01", "-W2", "10.0.101.2");
  await delay(700);
  await host.agent.end("SIGKILL");
  await delay(700);
  host.agent.start();
  const session = await inSync(host, before);
  expect((await ping).output).toMatch(/400 packets transmitted, 400 received, 0% packet loss/);
  await reachable();
  const instances = session.applied.flatMap((a) => a.instances);
  expect(instances).toMatchObject([{ instanceId: "i-1", state: AppliedState.PRESENT, processRunning: true, netnsPath: guests[0] }]);
  // 3 pings of the first test and 400 of this one, counted by one meter.
  const bytes = await session.until((s) => s.counters.flatMap((c) => c.meters).find((m) => m.egressPackets >= 403n));
  expect(bytes).toMatchObject({ meterId: 1001n, egressPackets: 403n, egressBytes: 403n * PING_BYTES, ingressBytes: 403n * PING_BYTES });
});

test("an agent that is asked to end leaves everything running, and its successor too", async () => {
  const host = hostOf(2);
  const before = host.session;
  const ping = inNamespace(guests[0] ?? "", "ping", "-c200", "-i0.01", "-W2", "10.0.101.2");
  await delay(300);
  await host.agent.end("SIGTERM");
  host.agent.start();
  await inSync(host, before);
  expect((await ping).output).toMatch(/200 packets transmitted, 200 received, 0% packet loss/);
});

test("a second agent on the same host touches nothing while the first lives, and goes on when that is killed", async () => {
  const host = hostOf(2);
  const before = host.session;
  const first = host.agent;
  host.agent = first.twin();
  host.agent.start();
  const limit = AbortSignal.timeout(10_000);
  while (!host.agent.log.includes("another host agent") && !limit.aborted) await delay(20);
  expect(host.agent.log).toContain(`(process ${first.pid})`);
  expect(host.session).toBe(before);
  await first.end("SIGKILL");
  await inSync(host, before);
  expect((await inNamespace(guests[0] ?? "", "ping", "-c3", "-i0.1", "-W2", "10.0.101.2")).output).toContain(" 0% packet loss");
});

test("a change of rules reaches the next packet", async () => {
  const host = hostOf(2);
  const deny = rulesetItem(2, { rules: [] });
  tell(host, ruleset(deny), attachment(item(2, { rulesetId: 2, generation: 2n })));
  await host.session?.attachment("eni-attach-2", AppliedState.PRESENT, 2n);
  expect((await inNamespace(guests[0] ?? "", "ping", "-c2", "-i0.1", "-W1", "10.0.101.2")).output).toContain("100% packet loss");
  tell(host, attachment(item(2, { generation: 3n })), ruleset({ ...deny, wanted: Wanted.ABSENT }));
  await host.session?.attachment("eni-attach-2", AppliedState.PRESENT, 3n);
  expect((await inNamespace(guests[0] ?? "", "ping", "-c2", "-i0.1", "-W1", "10.0.101.2")).output).toContain(" 0% packet loss");
});

test("a detach after a restart removes endpoint, device and at last the meter", async () => {
  const host = hostOf(1);
  const session = host.session as ScriptedSession;
  tell(host, attachment(item(1, { wanted: Wanted.ABSENT, generation: 2n })));
  await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
  // Whether or not its device is there for another moment.
  expect((await inNamespace(guests[0] ?? "", "ping", "-c1", "-W1", "10.0.101.2")).ok).toBe(false);
  const devices = (): string[] => linux.withNetlink(host.netns, (nl) => linux.getLinks(nl).map((link) => link.name));
  await expect.poll(devices).not.toContain("pv00000001");
  tell(host, instance(instanceItem(1, { wanted: Wanted.ABSENT, generation: 2n })));
  await session.until((s) => s.applied.flatMap((a) => a.instances).some((i) => i.state === AppliedState.ABSENT));
  expect(linux.listNamedNamespaces().filter((name) => name.startsWith(`${prefix}h1`))).toEqual([]);
  const metrics = await inNamespace(host.netns, "curl", "-s", "http://127.0.0.1:9402/metrics");
  expect(metrics.output).toMatch(/^plenum_host_endpoints 0$/m);
  expect(metrics.output).toMatch(/^plenum_host_mappings 0$/m);
});
