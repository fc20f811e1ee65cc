import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HostFeedServiceDefinition, AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { silentLog } from "#lib/log/log.ts";
import { createChannelAndClient } from "#lib/rpc/client.ts";
import { aborted } from "#lib/rpc/errors.ts";
import { Reconciler } from "../core/reconciler.ts";
import { FakeDatapath, fakePins } from "../testing/fake-datapath.ts";
import { fakeDeviceKernel, FakeDevices } from "../testing/fake-devices.ts";
import { FAKE_SETTINGS } from "../testing/fake-host.ts";
import { FakeInstanceDriver, fakeInstanceKernel } from "../testing/fake-instance-driver.ts";
import { FeedServer, target } from "../testing/feed-server.ts";
import { FakeUnderlay } from "../testing/fake-underlay.ts";
import { attachment, attachmentItem, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { Agent } from "./agent.ts";
import { HostSession } from "./host-session.ts";
import { MappingSession } from "./mapping-session.ts";

const BACKOFF = { firstMs: 10, maxMs: 40 };
const pins = fakePins();
const kernels = { devices: fakeDeviceKernel(), instances: fakeInstanceKernel() };
const underlay = new FakeUnderlay();
let server: FeedServer;
let running: (() => Promise<void>)[] = [];

/** An agent as main.ts wires it, on fakes of the kernel. */
function startAgent(): { stop: () => Promise<void>; datapath: FakeDatapath; errors: unknown[] } {
  const errors: unknown[] = [];
  const datapath = new FakeDatapath({ pins });
  datapath.guardTunnel(underlay.ensureTunnel());
  const reconciler = new Reconciler(
    {
      datapath,
      devices: new FakeDevices({ kernel: kernels.devices }),
      instances: new FakeInstanceDriver({ kernel: kernels.instances, onExit: () => agent.observe() }),
      underlay,
      reportFinal: (meters) => agent.reportFinal(meters),
      isSafe: (meter) => agent.isSafe(meter),
      wake: () => agent.wake(),
      clock: () => performance.now(),
      failed: (step, error) => errors.push(step, error),
      lost: () => {},
    },
    { ...FAKE_SETTINGS, graceMs: 10, lingerMs: 1_000 },
  );
  const agent: Agent = new Agent({
    reconciler,
    datapath,
    networkNews: () => ({ links: new Map(), filters: new Set(), overrun: false }),
    observer: { passed: () => {}, readFailed: (error) => errors.push(error) },
  });
  const settings = { address: server.address };
  const common = { log: silentLog(), backoff: BACKOFF, received: () => {} };
  const hello = { agentVersion: "test", kernelRelease: "6.1", substrateMtu: 1500, substrate: undefined, capacity: undefined };
  const host = new HostSession({
    ...common,
    connect: () => createChannelAndClient(HostFeedServiceDefinition, settings),
    hello: () => hello,
    substrate: () => reconciler.substrate.standing,
    handler: agent.hostFeed,
  });
  const mappings = new MappingSession({
    ...common,
    connect: () => createChannelAndClient(MappingServiceDefinition, settings),
    handler: agent.mappingFeed,
  });
  const aborter = new AbortController();
  reconciler.adopt();
  agent.start({ host, mappings });
  const streams = Promise.all([host.run(aborter.signal), mappings.run(aborter.signal)]);
  const stop = async (): Promise<void> => {
    agent.stop();
    aborter.abort();
    await streams;
  };
  running.push(stop);
  return { stop, datapath, errors };
}

beforeEach(async () => {
  for (const map of [
    pins.endpoints,
    pins.rulesets,
    pins.mappings,
    pins.meters,
    pins.drops,
    kernels.devices.pairs,
    kernels.instances.instances,
  ])
    map.clear();
  running = [];
  server = await FeedServer.start();
  server.networks.set(101n, { vni: 101, version: 5n, entries: new Map([["10.0.101.9/32", target(9, "198.18.0.9")]]) });
});
afterEach(async () => {
  for (const stop of running) await stop();
  await server.stop();
});

const base = [ruleset(rulesetItem(1)), instance(instanceItem(2))];
const detached = attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }));

describe("host session", () => {
  it("says hello, applies the snapshot, answers with every status, then with news only", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(7n, [...base, attachment(attachmentItem(1, 2))]);
    const first = await session.until((s) => s.applied[0]);
    expect(session.hello).toEqual({ agentVersion: "test", kernelRelease: "6.1", substrateMtu: 1500, resumeToken: Buffer.alloc(0) });
    expect(first).toMatchObject({ sessionEpoch: 1n, hostVersion: 7n });
    expect(first.attachments).toEqual([{ attachmentId: "eni-attach-1", generation: 1n, state: AppliedState.PRESENT, message: "" }]);
    expect(first.instances).toMatchObject([
      { instanceId: "i-2", state: AppliedState.PRESENT, processRunning: true, netnsPath: "/run/netns/fake-i-2" },
    ]);

    session.delta(8n, [attachment(attachmentItem(4, 2, { deviceIndex: 1 }))]);
    const second = await session.until((s) => s.applied.find((a) => a.hostVersion === 8n));
    expect(second.attachments.map((s) => s.attachmentId)).toEqual(["eni-attach-4"]);
    expect(second.instances).toEqual([]);
  });

  it("says at once what became of the tunnel, also what it has mended by then", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, base);
    await session.until((s) => s.applied[0]);
    const beats = (s: typeof session) => s.received.flatMap((m) => (m.$case === "heartbeat" ? [m.value.substrate] : []));
    underlay.tunnel!.up = false;
    const down = await session.until((s) => beats(s).find((one) => one?.tunnelReady === false));
    expect(down).toMatchObject({ deviceReady: true, message: expect.stringContaining("tunnel device") });
    await session.until((s) => beats(s).at(-1)?.tunnelReady);
    expect(underlay.tunnel).toMatchObject({ up: true });
  });

  it("sends the last reading before it says that the attachment is gone", async () => {
    const { datapath } = startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.attachment("eni-attach-1", AppliedState.PRESENT);
    datapath.count(1, "egress", 3n, 300n);
    datapath.count(1, "ingress", 1n, 100n);
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    const order = session.received.map((m) => m.$case).filter((kind) => kind !== "heartbeat");
    const gone = session.received.findIndex(
      (m) => m.$case === "applied" && m.value.attachments.some((s) => s.state === AppliedState.ABSENT),
    );
    const reading = session.received.findIndex((m) => m.$case === "counters" && m.value.meters.some((meter) => meter.meterId === 1001n));
    expect(reading, order.join(" ")).toBeGreaterThanOrEqual(0);
    expect(reading).toBeLessThan(gone);
    expect(session.counters[0]?.meters).toEqual([
      { meterId: 1001n, egressPackets: 3n, egressBytes: 300n, ingressPackets: 1n, ingressBytes: 100n },
    ]);
  });

  it("repeats a last reading and the word of the end to a session that still asks", async () => {
    const { datapath } = startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.attachment("eni-attach-1", AppliedState.PRESENT);
    datapath.count(1, "egress", 3n, 300n);
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    session.outbox.end(); // and the coordinator forgot everything that it was told
    const next = await server.session(2);
    next.snapshot(2n, [...base, detached]);
    await next.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    const kinds = next.received.map((m) => m.$case).filter((kind) => kind === "counters" || kind === "applied");
    expect(kinds.slice(0, 2)).toEqual(["counters", "applied"]);
    expect(next.counters[0]?.meters).toMatchObject([{ meterId: 1001n, egressBytes: 300n }]);
  });

  it("keeps a meter that is detached until its last reading is acknowledged, and tells that to a next session, and nothing that is safe", async () => {
    server.onSession = (s) => s.opened("host-1", true);
    const { datapath } = startAgent();
    const items = [...base, attachment(attachmentItem(1, 2)), attachment(attachmentItem(4, 2, { deviceIndex: 1 }))];
    const session = await server.session(1);
    session.snapshot(1n, items);
    await session.attachment("eni-attach-4", AppliedState.PRESENT);
    datapath.count(4, "egress", 1n, 100n);
    const early = await session.until((s) => s.counters[0]);
    session.acknowledgeCounters(early.sequence);
    datapath.count(1, "egress", 3n, 300n);
    datapath.drop(1, 7, "NO_RULE", 2n);
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    const final = await session.until((s) => s.counters[1]);
    expect(final).toMatchObject({ meters: [{ meterId: 1001n, egressBytes: 300n }], drops: [{ wireId: 1, packets: 2n }] });
    expect(final.sequence).toBeGreaterThan(early.sequence ?? 0n);
    session.outbox.end(); // not acknowledged
    const next = await server.session(2);
    next.snapshot(2n, items.slice(0, 2).concat(items.slice(3)));
    const again = await next.until((s) => s.counters[0]);
    expect(again).toMatchObject({ meters: [{ meterId: 1001n, egressBytes: 300n }], drops: [{ wireId: 1, packets: 2n }] });
    expect(again.meters).toHaveLength(1); // the other attachment's is safe
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // longer than a meter lingers where nothing is acknowledged
    expect(pins.meters.has("1001 egress")).toBe(true);
    expect(next.counters).toHaveLength(1);
    next.acknowledgeCounters(again.sequence);
    await expect.poll(() => pins.meters.has("1001 egress")).toBe(false);
    expect(pins.meters.has("1004 egress")).toBe(true);
  });

  it("drops what was made of a meter that found no room, though it has no reading that could be safe", async () => {
    server.onSession = (s) => s.opened("host-1", true);
    const { datapath } = startAgent();
    const put = vi.spyOn(datapath, "putMeter").mockImplementation(() => {
      throw new Error("full");
    });
    const drop = vi.spyOn(datapath, "dropMeter");
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.attachment("eni-attach-1", AppliedState.FAILED);
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    await expect.poll(() => drop.mock.calls, { timeout: 5_000 }).toEqual([[1, 1001n, false]]);
    put.mockRestore();
  });

  it("connects again after a gap, keeps what it has meanwhile, and ends with the new snapshot", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2)), attachment(attachmentItem(4, 2, { deviceIndex: 1 }))]);
    await session.attachment("eni-attach-4", AppliedState.PRESENT);
    session.delta(3n, []);
    const next = await server.session(2);
    expect([...pins.endpoints.keys()]).toEqual([1, 4]);
    next.send({ $case: "change", value: { version: 3n, inSnapshot: true, items: [...base, attachment(attachmentItem(1, 2))] } });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([...pins.endpoints.keys()]).toEqual([1, 4]); // not in sync: nothing goes
    next.send({ $case: "inSync", value: { version: 3n } });
    const applied = await next.until((s) => s.applied[0]);
    expect(applied.attachments.map((s) => s.attachmentId)).toEqual(["eni-attach-1"]);
    expect([...pins.endpoints.keys()]).toEqual([1]);
  });

  it("goes on where it was when its stream breaks, and says all of it anew", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.attachment("eni-attach-1", AppliedState.PRESENT);
    session.delta(2n, [attachment(attachmentItem(4, 2, { deviceIndex: 1 }))]);
    await session.attachment("eni-attach-4", AppliedState.PRESENT);
    session.outbox.end();
    const next = await server.session(2);
    expect((await next.until((s) => s.hello)).resumeToken.toString()).toBe("at 2");
    next.send({ $case: "resumed", value: { version: 2n } });
    next.delta(3n, [detached]);
    next.send({ $case: "owed", value: { version: 3n, items: [detached] } });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([...pins.endpoints.keys()], "before it is in sync").toEqual([1, 4]);
    next.inSync(3n);
    const first = await next.until((s) => s.applied[0]);
    expect(first.sessionEpoch).toBe(2n);
    expect(first.attachments.map((s) => s.attachmentId)).toContain("eni-attach-4");
    await next.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    expect([...pins.endpoints.keys()]).toEqual([4]);
  });

  it("takes a snapshot in the middle of a stream whose history is gone, and resumes after it", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2)), attachment(attachmentItem(4, 2, { deviceIndex: 1 }))]);
    await session.attachment("eni-attach-4", AppliedState.PRESENT);
    session.send({ $case: "historyGone", value: {} });
    session.snapshot(9n, [...base, attachment(attachmentItem(1, 2))]);
    await session.until((s) => s.applied.find((a) => a.hostVersion === 9n));
    expect([...pins.endpoints.keys()]).toEqual([1]);
    session.outbox.end();
    const next = await server.session(2);
    expect((await next.until((s) => s.hello)).resumeToken.toString()).toBe("at 9");
  });

  it("begins with a snapshot after a feed that broke its rules", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, base);
    await session.until((s) => s.applied[0]);
    session.delta(3n, []);
    const next = await server.session(2);
    expect((await next.until((s) => s.hello)).resumeToken).toHaveLength(0);
    next.snapshot(3n, base);
    await next.until((s) => s.applied[0]);
    next.outbox.end();
    const third = await server.session(3);
    expect((await third.until((s) => s.hello)).resumeToken.toString()).toBe("at 3");
    third.send({ $case: "resumed", value: { version: 4n } });
    const fourth = await server.session(4);
    expect((await fourth.until((s) => s.hello)).resumeToken).toHaveLength(0);
  });

  it("comes back when the server refuses its session as stale, and when the server goes away", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, base);
    await session.until((s) => s.applied[0]);
    const refused = new Promise<void>((resolve) => {
      server.onSession = () => {
        server.onSession = (s) => s.opened();
        resolve();
        throw aborted("STALE_SESSION", "a newer session is open");
      };
    });
    session.outbox.end();
    await refused;
    const third = await server.session(3);
    third.snapshot(1n, base);
    expect((await third.until((s) => s.applied[0])).sessionEpoch).toBe(3n);
  });

  it("tells when a process ends by itself", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, base);
    await session.until((s) => s.applied[0]);
    kernels.instances.instances.set("i-2", { process: { state: "exited", detail: "exit code 1" } });
    const status = await session.until((s) => s.applied.flatMap((a) => a.instances).find((i) => !i.processRunning));
    expect(status).toMatchObject({ instanceId: "i-2", state: AppliedState.PRESENT, message: "its process ended: exit code 1" });
  });

  it("reports counters that changed, and drops by reason", async () => {
    const { datapath } = startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.attachment("eni-attach-1", AppliedState.PRESENT);
    datapath.count(1, "egress", 1n, 84n);
    datapath.drop(1, 7, "NO_RULE", 2n);
    const counters = await session.until((s) => s.counters[0]);
    expect(counters).toMatchObject({
      sessionEpoch: 1n,
      meters: [{ meterId: 1001n, egressBytes: 84n }],
      drops: [{ wireId: 1, reason: "NO_RULE", packets: 2n }],
    });
    datapath.drop(0, 8, "UNKNOWN_VNI", 1n);
    const more = await session.until((s) => s.counters[1]);
    expect(more.meters).toEqual([]);
    expect(more.drops).toMatchObject([{ wireId: 0, reason: "UNKNOWN_VNI", packets: 1n }]);
    expect([counters.epoch, more.epoch]).toEqual([pins.epoch, pins.epoch]);
    await session.until((s) => s.received.some((m) => m.$case === "heartbeat" && m.value.sessionEpoch === 1n));
  });
});

describe("mapping session", () => {
  const wanted = [...base, attachment(attachmentItem(1, 2))]; // network 101

  it("watches the networks of its attachments and acknowledges their versions", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, wanted);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    expect([...pins.mappings.values()]).toEqual([
      { vni: 101, prefix: "10.0.101.9/32", hostAddress: "198.18.0.9", wireId: 9, groupSetId: 1 },
    ]);
    server.map(101n, "10.0.101.10/32", target(10, "198.18.0.10"));
    server.map(101n, "10.0.101.9/32", undefined);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 7n));
    expect([...pins.mappings.values()].map((m) => m.prefix)).toEqual(["10.0.101.10/32"]);
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    expect(pins.mappings.size).toBe(0);
  });

  it("asks for a network anew when a version is missing", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, wanted);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    const network = server.networks.get(101n);
    if (network !== undefined) network.version = 9n;
    network?.entries.set("10.0.101.8/32", target(8, "198.18.0.8"));
    server.delta(101n, 9n, []);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 9n));
    expect(server.subscriptions).toEqual([101n, 101n]);
    expect(pins.mappings.size).toBe(2);
  });

  it("goes on where it was when its stream breaks, with a snapshot only where the history is gone", async () => {
    startAgent();
    const session = await server.session(1);
    const networks = [1, 2].map((n) => attachment(attachmentItem(n, 2, { deviceIndex: n }))); // 101 and 102
    server.networks.set(102n, { vni: 102, version: 3n, entries: new Map([["10.0.102.9/32", target(9, "198.18.0.9")]]) });
    session.snapshot(1n, [...base, ...networks]);
    const told = (s: typeof session, network: bigint, version: bigint) => s.applied.find((a) => a.networkVersions.get(network) === version);
    await session.until((s) => told(s, 101n, 5n) && told(s, 102n, 3n));
    server.map(101n, "10.0.101.10/32", target(10, "198.18.0.10"));
    await session.until((s) => told(s, 101n, 6n));
    const before = structuredClone(pins.mappings);
    server.endWatches();
    await session.until(() => server.subscriptions.length === 4);
    expect(server.resumeTokens.slice(2).sort()).toEqual(["at 3", "at 6"]);
    expect(pins.mappings).toEqual(before);
    server.map(101n, "10.0.101.11/32", target(11, "198.18.0.11"));
    await session.until((s) => told(s, 101n, 7n));
    expect(pins.mappings.size).toBe(before.size + 1);
    // The service knows 102 only as of a later version now.
    const network = server.networks.get(102n);
    if (network !== undefined) network.version = 8n;
    network?.entries.clear();
    server.endWatches();
    await session.until((s) => told(s, 102n, 8n));
    expect([...pins.mappings.values()].filter(({ vni }) => vni === 102)).toEqual([]);
    expect([...pins.mappings.values()].filter(({ vni }) => vni === 101)).toHaveLength(3);
  });

  it("does not go on from a network that it has let go of meanwhile", async () => {
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, wanted);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    session.delta(2n, [detached]);
    await session.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    session.delta(3n, [attachment(attachmentItem(1, 2, { generation: 3n, meterId: 2001n }))]);
    await session.until((s) => s.applied.filter((a) => a.networkVersions.get(101n) === 5n)[1]);
    expect(server.resumeTokens).toEqual(["", ""]);
    expect(pins.mappings.size).toBe(1);
  });

  it("asks again after a refusal, and keeps what the kernel has until it is answered", async () => {
    const old = { vni: 101, prefix: "10.0.101.1/32", hostAddress: "198.18.0.1", wireId: 1, groupSetId: 1 };
    pins.mappings.set("101 10.0.101.1/32", old);
    let refusals = 3;
    server.refuse = () => (refusals-- > 0 ? "not yet" : undefined);
    startAgent();
    const session = await server.session(1);
    session.snapshot(1n, wanted);
    await session.attachment("eni-attach-1", AppliedState.PRESENT);
    expect([...pins.mappings.values()]).toEqual([old]);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    expect([...pins.mappings.values()].map((m) => m.prefix)).toEqual(["10.0.101.9/32"]);
  });
});

describe("restart", () => {
  it("of the agent leaves endpoints and mappings as they were", async () => {
    const one = startAgent();
    const session = await server.session(1);
    session.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await session.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    await one.stop();
    const before = structuredClone(pins);
    startAgent();
    const next = await server.session(2);
    expect(pins).toEqual(before);
    next.snapshot(1n, [...base, attachment(attachmentItem(1, 2))]);
    await next.until((s) => s.applied.find((a) => a.networkVersions.get(101n) === 5n));
    expect(pins).toEqual(before);
    next.delta(2n, [detached]);
    await next.attachment("eni-attach-1", AppliedState.ABSENT, 2n);
    expect([pins.endpoints.size, kernels.devices.pairs.size]).toEqual([0, 0]);
  });
});
