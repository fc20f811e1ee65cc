import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inNamespace } from "../../testing/guest-shell.ts";
import { checksum, ethernet, ipv4, tcpChecksumRight, tcpSyn, udp } from "./testing/frames.ts";
import { dropsOf, GATEWAY_MAC, GUEST_DEVICE, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";
import { Capture, sendFrame } from "./testing/raw-socket.ts";

const TCP = 6;
const UDP = 17;
const SMALL = 1200;

let lab: Lab;
let a: LabHost;
let one: LabGuest;
let near: LabGuest;
let far: LabGuest;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  const b = lab.host("b", "198.18.0.2");
  one = lab.openGuest(a, "10.0.0.1", { guestMtu: SMALL });
  near = lab.openGuest(a, "10.0.0.2");
  far = lab.openGuest(b, "10.0.0.3");
});
afterAll(() => lab.dispose());

function send(payload: Buffer): void {
  sendFrame(one.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, payload));
}

describe("a packet longer than the MTU", () => {
  test("with do-not-fragment is answered by a message that quotes it", () => {
    const packet = ipv4({ src: one.address, dst: far.address, protocol: UDP, dontFragment: true }, udp(5000, 6000, Buffer.alloc(1300)));
    const capture = new Capture(one.path, GUEST_DEVICE);
    send(packet);
    const frame = capture.find((f) => f.readUInt8(23) === 1 && f.readUInt8(34) === 3) ?? Buffer.alloc(0);
    capture.close();
    const message = frame.subarray(34);
    expect(frame.subarray(0, 14).toString("hex")).toBe(`${one.endpoint.guestMac}${GATEWAY_MAC}0800`.replaceAll(":", ""));
    expect(frame.subarray(26, 34)).toEqual(Buffer.concat([packet.subarray(16, 20), packet.subarray(12, 16)]));
    expect([message[0], message[1], message.readUInt16BE(6)], "fragmentation needed, next-hop MTU").toEqual([3, 4, SMALL]);
    expect(checksum(frame.subarray(14, 34))).toBe(0);
    expect(checksum(message)).toBe(0);
    expect(message.subarray(8)).toEqual(packet.subarray(0, 28));
  });

  test("teaches the guest's kernel the MTU, locally and across hosts", async () => {
    for (const target of [near, far]) {
      await inNamespace(one.path, "ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1300", target.address);
      const route = await inNamespace(one.path, "ip", "route", "get", target.address);
      expect(route.output).toContain(`mtu ${SMALL}`);
      const fits = await inNamespace(one.path, "ping", "-c", "1", "-W", "1", "-M", "do", "-s", String(SMALL - 28), target.address);
      expect(fits.ok, "exactly the MTU passes").toBe(true);
    }
  });

  test("teaches it about datagrams too, whose checksum the kernel left to the device", async () => {
    const talker = lab.openGuest(a, "10.0.0.4", { guestMtu: SMALL });
    const script = `const s = require("dgram").createSocket("udp4"); s.send(Buffer.alloc(1300), 9, "${far.address}", () => s.close());`;
    expect(await inNamespace(talker.path, process.execPath, "-e", script)).toMatchObject({ ok: true });
    expect(dropsOf(a, talker.endpoint.wireId)).toEqual({ TOO_BIG_ANSWERED: 1n });
    expect((await inNamespace(talker.path, "ip", "route", "get", far.address)).output).toContain(`mtu ${SMALL}`);
  });

  test("goes nowhere, counted, when it may be fragmented", () => {
    const before = dropsOf(a, one.endpoint.wireId)["TOO_BIG"] ?? 0n;
    send(ipv4({ src: one.address, dst: far.address, protocol: UDP }, udp(5000, 6000, Buffer.alloc(1300))));
    expect(dropsOf(a, one.endpoint.wireId)["TOO_BIG"]).toBe(before + 1n);
  });
});

describe("a TCP SYN", () => {
  const ends = { src: "10.0.0.1", dst: "10.0.0.3" };
  /** The SYN with these options as the far guest gets it. */
  function arriving(options: number[]): Buffer {
    const capture = new Capture(far.path, GUEST_DEVICE);
    send(ipv4({ ...ends, protocol: TCP }, tcpSyn(ends, 40000, 80, Buffer.from(options))));
    const frame = capture.find((f) => f.readUInt8(23) === TCP && f.readUInt16BE(34) === 40000) ?? Buffer.alloc(0);
    capture.close();
    return frame.subarray(34);
  }
  const mss = (value: number): number[] => [2, 4, value >> 8, value & 255];

  test.each([
    { name: "first", options: mss(1460), at: 22 },
    { name: "after others", options: [4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, ...mss(1460)], at: 34 },
    { name: "at an odd offset", options: [1, ...mss(1460), 1, 1, 0], at: 23 },
  ])("has its MSS lowered to what fits, option $name", ({ options, at }) => {
    const segment = arriving(options);
    expect(segment.readUInt16BE(at)).toBe(SMALL - 40);
    expect(tcpChecksumRight(ends, segment)).toBe(true);
  });

  test.each([
    { name: "with a small MSS", options: mss(536) },
    { name: "without options", options: [] },
    { name: "whose options end early", options: [0, 0, 0, 0, ...mss(1460)] },
    { name: "with an option of length 0", options: [7, 0, 0, 0, ...mss(1460)] },
    { name: "with an option of length 1", options: [7, 1, ...mss(1460), 1, 0] },
    { name: "with an option past its header", options: [8, 44, 0, 0] },
  ])("$name stays as it is", ({ options }) => {
    expect(arriving(options)).toEqual(tcpSyn(ends, 40000, 80, Buffer.from(options)));
  });
});
