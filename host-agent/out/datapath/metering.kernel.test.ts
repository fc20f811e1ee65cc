import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { MeterReading } from "../../core/ports.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { ethernet, ipv4, tcpSyn } from "./testing/frames.ts";
import { GATEWAY_MAC, Lab, type LabGuest } from "./testing/lab.ts";
import { runPinned, TC_ACT_REDIRECT } from "./testing/test-run.ts";

const BYTES = 50_000_000;

let lab: Lab;
let one: LabGuest;
let near: LabGuest;
let far: LabGuest;

beforeAll(() => {
  lab = new Lab();
  const a = lab.host("a", "198.18.0.1");
  const b = lab.host("b", "198.18.0.2");
  one = lab.openGuest(a, "10.0.0.1");
  near = lab.openGuest(a, "10.0.0.2");
  far = lab.openGuest(b, "10.0.0.3");
});
afterAll(() => lab.dispose());

function reading(guest: LabGuest, direction: MeterReading["direction"]): MeterReading {
  const found = guest.host.datapath.readMeters().find((m) => m.meterId === guest.endpoint.meterId && m.direction === direction);
  if (found === undefined) throw new Error(`no ${direction} meter`);
  return found;
}

/** Sends BYTES over TCP, from a program in one guest to a program in another; ends when the receiver has them and both have closed. */
async function transfer(from: LabGuest, to: LabGuest): Promise<void> {
  const receive = `
    let n = 0;
    require("net").createServer((c) => c.on("data", (d) => (n += d.length)).on("end", () => { c.end(); console.log(n); }).on("close", () => process.exit()))
      .listen(7000, "${to.address}", () => console.log("listening"));`;
  const send = `
    const c = require("net").connect(7000, "${to.address}", () => c.end(Buffer.alloc(${BYTES})));
    c.on("data", () => {}).on("close", () => process.exit());`;
  const receiver = spawn("nsenter", [`--net=${to.path}`, process.execPath, "-e", receive], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(receiver.stdout, "data");
    const ended = once(receiver, "exit");
    let printed = "";
    receiver.stdout.on("data", (text: Buffer) => (printed += text.toString()));
    expect(await inNamespace(from.path, process.execPath, "-e", send)).toMatchObject({ ok: true });
    await ended;
    expect(Number(printed)).toBe(BYTES);
  } finally {
    receiver.kill("SIGKILL");
  }
}

test.each([
  { name: "across hosts", to: () => far },
  { name: "inside a host", to: () => near },
])("both ends count the same bytes of a TCP transfer with segmentation offload, $name", async ({ to }) => {
  const target = to();
  const before = { sent: reading(one, "egress"), received: reading(target, "ingress") };
  const backBefore = { sent: reading(target, "egress"), received: reading(one, "ingress") };
  await transfer(one, target);
  const sent = reading(one, "egress").bytes - before.sent.bytes;
  const received = reading(target, "ingress").bytes - before.received.bytes;
  expect(sent).toBe(received);
  expect(reading(target, "egress").bytes - backBefore.sent.bytes).toBe(reading(one, "ingress").bytes - backBefore.received.bytes);

  // A full segment is 1398 bytes (1450 − 20 − 32) and carries 52 of headers; retransmissions come on top.
  const segments = Math.ceil(BYTES / 1398);
  expect(Number(sent)).toBeGreaterThanOrEqual(BYTES + segments * 52);
  expect(Number(sent)).toBeLessThan((BYTES + segments * 52) * 1.3);
  const packets = Number(reading(one, "egress").packets - before.sent.packets);
  expect(packets, "offload was at work, or this test shows nothing").toBeLessThan(segments / 4);
});

test.each([
  { payload: 3000, gsoSize: 1000, segments: 3 },
  { payload: 3001, gsoSize: 1000, segments: 4 },
  { payload: 1000, gsoSize: 1000, segments: 1 },
  { payload: 1000, gsoSize: 0, segments: 1 },
  { payload: 1, gsoSize: 1000, segments: 1 },
])("$payload bytes in segments of $gsoSize are billed as $segments packets on the wire", ({ payload, gsoSize, segments }) => {
  const ends = { src: one.address, dst: near.address };
  const segment = Buffer.concat([tcpSyn(ends, 1, 2), Buffer.alloc(payload)]);
  const frame = ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, ipv4({ ...ends, protocol: 6 }, segment));
  const before = { sent: reading(one, "egress"), received: reading(near, "ingress") };
  const { host, endpoint } = one;
  expect(runPinned(host, "from_instance", frame, { path: host.path, ifindex: endpoint.ifindex, gsoSize }).verdict).toBe(TC_ACT_REDIRECT);
  const wire = BigInt(payload + segments * 40);
  expect(reading(one, "egress").bytes - before.sent.bytes).toBe(wire);
  expect(reading(near, "ingress").bytes - before.received.bytes).toBe(wire);
  expect(reading(near, "ingress").packets - before.received.packets).toBe(1n);
});

test("raw bytes are what the kernel's device statistics say", async () => {
  const statistic = async (): Promise<bigint> => {
    const { output } = await inNamespace(one.host.path, "ip", "-s", "-j", "link", "show", one.hostDevice);
    const [link] = JSON.parse(output) as [{ stats64: { rx: { bytes: number } } }];
    return BigInt(link.stats64.rx.bytes);
  };
  await inNamespace(one.path, "ping", "-c", "1", far.address); // the neighbour entries, whose ARP is not metered
  const before = { device: await statistic(), raw: reading(one, "egress").rawBytes };
  await inNamespace(one.path, "ping", "-c", "3", "-i", "0.01", "-s", "1000", far.address);
  expect((await statistic()) - before.device).toBe(reading(one, "egress").rawBytes - before.raw);
  expect(reading(one, "egress").rawBytes - before.raw).toBe(3n * 1042n);
});

test("a packet that is dropped is not billed", async () => {
  const before = reading(one, "egress");
  await inNamespace(one.path, "ping", "-c", "2", "-i", "0.01", "-W", "1", "10.0.0.99");
  expect(reading(one, "egress")).toEqual(before);
});
