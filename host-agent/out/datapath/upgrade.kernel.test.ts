import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import type { MeterReading } from "../../core/ports.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { makeOtherVersion, type OtherVersion } from "../../testing/other-version/index.ts";
import { SCHEMA, type AttachMode, type ConnectionLimits, type Upgrade } from "./index.ts";
import { check, mapCreate, objPin } from "./libbpf.ts";
import { readBigint, u32 } from "./record.ts";
import { startDatapath } from "./testing/datapath-process.ts";
import { ethernet } from "./testing/frames.ts";
import { beyondShares, outcome, quietGuest, tcpBetween, udpBetween, withMap } from "./testing/flows.ts";
import { ALLOW, ALLOW_ALL, GATEWAY_MAC, GUEST_DEVICE, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";
import { sendFrame } from "./testing/raw-socket.ts";
import { mappingsOf } from "../../testing/mapping-batches.ts";

let directory: string;
let other: OtherVersion;
let lab: Lab;
let a: LabHost;
let client: LabGuest;
let server: LabGuest;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plenum-upgrade-"));
  willLeave({ kind: "directory", dir: directory });
  other = makeOtherVersion(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => lab.dispose());

/** Another version's agent takes host a over from ours, and is killed. */
async function runOther(killAt = 0): Promise<Upgrade | "killed" | undefined> {
  a.datapath.close();
  const agent = await startDatapath(a, other.datapathProcess, [], killAt);
  await agent.kill();
  return agent.upgrade;
}

/** Ours takes over. */
function reopen(): Upgrade | undefined {
  let found: Upgrade | undefined;
  lab.reopen(a, { onUpgrade: (upgrade) => (found = upgrade) });
  a.options = { ...a.options, onUpgrade: undefined };
  return found;
}

const sets = (): string[] => readdirSync(a.options.bpffsDir).filter((name) => name !== "links");
const metersOf = (host: LabHost): MeterReading[] =>
  host.datapath.readMeters().toSorted((x, y) => (`${x.meterId}${x.direction}` < `${y.meterId}${y.direction}` ? -1 : 1));

function actual() {
  const found = a.datapath.actual();
  return { ...found, mappings: mappingsOf(found.mappings).toSorted((x, y) => x.wireId - y.wireId) };
}

/** How many connections an interface's budget counts, and how many there are. */
function connections({ endpoint: { wireId } } = client): { counted: number; there: number } {
  const budget = withMap(a, "budgets", (map) => map.get(u32(wireId)) ?? Buffer.alloc(16));
  return {
    counted: Number(readBigint("connection_budget", budget, "count")),
    there: withMap(a, "connections", (map) => [...map.entries()].filter(([key]) => key.readUInt32LE() === wireId).length),
  };
}

/** Packets of the client, sent while nobody may be reading host a; resolves when they have been counted at the server. */
async function deliver(...packets: readonly Buffer[]): Promise<void> {
  const count = (): bigint =>
    metersOf(server.host).find((m) => m.meterId === server.endpoint.meterId && m.direction === "ingress")!.packets;
  const before = count();
  for (const packet of packets) sendFrame(client.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: client.endpoint.guestMac }, packet));
  await expect.poll(count, { interval: 1, timeout: 2000 }).toBe(before + BigInt(packets.length));
}

/** Few, so that most of what is taken over lies beyond. */
const SHARE = 2;
const idle = (milliseconds: number): Partial<ConnectionLimits> => ({
  perInterface: 5_000,
  share: SHARE,
  ...{ idleTcpAnswered: milliseconds, idleTcpOther: milliseconds, idleAnswered: milliseconds, idleUnanswered: milliseconds },
});

function hosts(attach: AttachMode): void {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1", { attach, connections: idle(3_600_000) });
  const b = lab.host("b", "198.18.0.2", { attach });
  client = quietGuest(lab, a, "10.0.0.1", ALLOW.egress);
  server = quietGuest(lab, b, "10.0.0.2", ALLOW_ALL);
}

describe.each(["tcx", "clsact"] as const)("with %s", (attach: AttachMode) => {
  test("another schema takes over configuration, counts and connections, and gives them back", async () => {
    hosts(attach);
    const { opening, answer } = tcpBetween(client, server, 1000, 80);
    expect(outcome(client, server, opening)).toBe("passes");
    expect(outcome(server, client, udpBetween(client, server, 1, 53).answer)).toBe("RULE_INGRESS");
    const found = actual();
    const [meters, drops] = [metersOf(a), a.datapath.readDrops()];

    expect(await runOther()).toEqual({ from: [SCHEMA], lost: [] });
    expect(sets()).toHaveLength(1);
    expect(sets()).not.toEqual([SCHEMA]);
    expect(reopen()?.lost).toEqual([]);
    expect(sets()).toEqual([SCHEMA]);
    expect(actual()).toEqual(found);
    expect(metersOf(a)).toEqual(meters);
    expect(a.datapath.readDrops()).toEqual(drops);
    expect(connections()).toEqual({ counted: 1, there: 1 });
    expect(outcome(server, client, answer), "what it began goes on").toBe("passes");
    expect(outcome(server, client, udpBetween(client, server, 1, 53).answer), "what it did not, does not").toBe("RULE_INGRESS");
    expect(await runOther(), "and once more").toEqual({ from: [SCHEMA], lost: [] });
    expect(reopen()?.lost).toEqual([]);
    expect(metersOf(a).map((m) => m.packets)).toEqual(meters.map((m) => m.packets + (m.direction === "ingress" ? 1n : 0n)));
  });

  test("loses no packet and no count of a flow through an upgrade and back", async () => {
    hosts(attach);
    const [one, far] = [lab.openGuest(a, "10.0.0.3"), lab.openGuest(server.host, "10.0.0.4")];
    const count = 400;
    const pings = inNamespace(one.path, "ping", "-c", String(count), "-i", "0.005", "-W", "1", "-q", far.address);
    await runOther();
    reopen();
    await runOther();
    reopen();
    expect((await pings).output).toContain(`${count} received, 0% packet loss`);
    const packets = metersOf(a).filter((m) => m.meterId === one.endpoint.meterId);
    expect(packets.map((m) => m.packets)).toEqual([BigInt(count), BigInt(count)]);
  });
});

test("none is lost of the connections that begin while programs are swapped", async () => {
  hosts("clsact");
  const count = 4_000;
  const one = lab.openGuest(a, "10.0.0.3", {}, ALLOW.egress);
  const program = [
    "import socket,time",
    `for port in range(10000, ${10_000 + count}):`,
    "    s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('10.0.0.3',port)); s.sendto(b'x',('10.0.0.2',53)); s.close()",
    "    time.sleep(0.0005)",
  ];
  const begun = inNamespace(one.path, "/usr/bin/python3", "-c", program.join("\n"));
  let running = true;
  void begun.finally(() => (running = false));
  let rounds = 0;
  for (; running; rounds++) {
    await runOther();
    reopen();
  }
  expect((await begun).ok).toBe(true);
  expect(rounds).toBeGreaterThan(0);
  expect(connections(one)).toEqual({ counted: count, there: count });
  expect(beyondShares(a)).toEqual({ held: count - SHARE, counted: count - SHARE });
});

test("what was taken over is counted in the budget and goes when it is idle, with no agent alive", async () => {
  hosts("clsact");
  const count = 300;
  await deliver(...Array.from({ length: count }, (_, i) => udpBetween(client, server, i + 1, 53).opening));
  expect(connections()).toEqual({ counted: count, there: count });
  await runOther();
  reopen();
  expect(connections()).toEqual({ counted: count, there: count });
  expect(beyondShares(a)).toEqual({ held: count - SHARE, counted: count - SHARE });
  await runOther();
  a.options = { ...a.options, connections: idle(1_000) };
  reopen();
  a.datapath.close();
  await expect.poll(() => connections(), { timeout: 15_000, interval: 50 }).toEqual({ counted: 0, there: 0 });
  expect(beyondShares(a)).toEqual({ held: 0, counted: 0 });
});

test("killed before any change that it makes, an upgrade is ended by either version", { timeout: 600_000 }, async () => {
  hosts("clsact");
  const { opening, answer } = tcpBetween(client, server, 1000, 80);
  expect(outcome(client, server, opening)).toBe("passes");
  expect(outcome(server, client, udpBetween(client, server, 1, 53).answer)).toBe("RULE_INGRESS");
  expect(await runOther()).toMatchObject({ lost: [] });
  reopen();
  const [found, drops] = [actual(), a.datapath.readDrops()];
  let sent = metersOf(a).find((m) => m.direction === "egress")!.packets;
  let places = 0;
  for (let killAt = 1; ; killAt++) {
    const ended = await runOther(killAt);
    // Some devices may be swapped and others not, or none, or all: traffic goes on, and what it begins is counted and kept.
    await deliver(udpBetween(client, server, 10_000 + killAt, 53).opening);
    sent += 1n;
    if (killAt % 4 === 0) await runOther();
    reopen();
    expect(sets(), `killed at ${killAt}`).toEqual([SCHEMA]);
    expect(actual(), `killed at ${killAt}`).toEqual(found);
    expect(metersOf(a).find((m) => m.direction === "egress")!.packets, `killed at ${killAt}`).toBe(sent);
    expect(a.datapath.readDrops(), `killed at ${killAt}`).toEqual(drops);
    expect(connections(), `killed at ${killAt}`).toEqual({ counted: killAt + 1, there: killAt + 1 });
    const beyond = killAt + 1 - SHARE;
    expect(beyondShares(a), `killed at ${killAt}`).toEqual({ held: beyond, counted: beyond });
    if (ended !== "killed") break;
    places = killAt;
  }
  expect(outcome(server, client, answer)).toBe("passes");
  expect(places).toBeGreaterThan(60);
});

test("maps whose layout nobody knows begin empty, and it is said", () => {
  hosts("clsact");
  const old = join(a.options.bpffsDir, "0123456789ab");
  a.datapath.close();
  const stranger = join(a.options.bpffsDir, SCHEMA);
  rmSync(stranger, { recursive: true });
  for (const dir of [old, join(old, "maps"), join(old, "programs"), join(old, "programs", "0123456789ab")]) mkdirSync(dir);
  for (const path of ["maps/endpoints", "maps/meters", "maps/connections", "programs/0123456789ab/from_tunnel"])
    check(objPin(check(mapCreate(1, "stranger", 4, 8, 16, null), "make a map"), join(old, path)), "pin it");
  const lost = reopen()?.lost ?? [];
  for (const name of ["endpoints", "meters", "connections"])
    expect(lost.filter((line) => line.startsWith(`${name} begins empty`))).toHaveLength(1);
  expect(lost).toContain("the counts of meters are lost: the kernel does not know its layout");
  expect(actual().endpoints).toEqual([]);
  expect(sets()).toEqual([SCHEMA]);
});
