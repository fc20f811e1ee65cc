import { afterAll, beforeAll, expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { Capture, sendFrame } from "./testing/raw-socket.ts";
import { ethernet, ipv4, udp } from "./testing/frames.ts";
import { GATEWAY_MAC, GUEST_DEVICE, Lab, type LabHost } from "./testing/lab.ts";

let lab: Lab;
let a: LabHost;
let b: LabHost;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  b = lab.host("b", "198.18.0.2");
});
afterAll(() => lab.dispose());

test("between hosts a packet carries its network, the ids of both ends, and do-not-fragment", () => {
  const one = lab.openGuest(a, "10.1.0.1", { vni: 0xabcdef, groupSetId: 0x01020304 });
  const two = lab.openGuest(b, "10.1.0.2", { vni: 0xabcdef });
  const capture = new Capture(b.path, "u0");
  const inner = ipv4({ src: one.address, dst: two.address, protocol: 17 }, udp(1111, 2222, Buffer.from("over the wire")));
  sendFrame(one.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, inner));
  const outer = capture.find((f) => f.includes("over the wire"));
  capture.close();

  const ip = outer?.subarray(14) ?? Buffer.alloc(0);
  expect(ip.readUInt16BE(6) & 0x4000, "do not fragment").toBe(0x4000);
  expect([...ip.subarray(12, 20)]).toEqual([198, 18, 0, 1, 198, 18, 0, 2]);
  const outerUdp = ip.subarray(20);
  expect(outerUdp.readUInt16BE(2)).toBe(linux.VXLAN_PORT);
  expect(outerUdp.readUInt16BE(6), "no outer UDP checksum").toBe(0);
  const vxlan = outerUdp.subarray(8);
  expect(vxlan.readUIntBE(4, 3)).toBe(0xabcdef);
  const innerEthernet = vxlan.subarray(8);
  expect(innerEthernet.subarray(0, 6).toString("hex")).toBe(`02${two.endpoint.wireId.toString(16).padStart(8, "0")}00`);
  expect(innerEthernet.subarray(6, 12).toString("hex")).toBe("020102030400");
  expect(innerEthernet.subarray(14)).toEqual(inner);
});

test("what stands behind a packet's end goes no further: it would be carried and not counted", () => {
  const one = lab.openGuest(a, "10.4.0.1", { vni: 8 });
  const near = lab.openGuest(a, "10.4.0.2", { vni: 8 });
  const far = lab.openGuest(b, "10.4.0.3", { vni: 8 });
  for (const target of [near, far]) {
    const capture = new Capture(target.path, GUEST_DEVICE);
    const inner = ipv4({ src: one.address, dst: target.address, protocol: 17 }, udp(1, 2, Buffer.from("counted")));
    const frame = ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, Buffer.concat([inner, Buffer.from("smuggled".repeat(100))]));
    sendFrame(one.path, GUEST_DEVICE, frame);
    expect(capture.find((f) => f.includes("counted"))?.subarray(14)).toEqual(inner);
    capture.close();
  }
  const { bytes } = a.datapath.readMeters([one.endpoint.meterId]).find(({ direction }) => direction === "egress")!;
  expect(bytes).toBe(2n * (20n + 8n + 7n));
});

test("the outer source is the host's address also where the kernel would prefer another", () => {
  const host = lab.host("c", "198.18.0.3");
  linux.withNetlink(host.path, (nl) => {
    const device = linux.getLink(nl, "u0")?.ifindex ?? 0;
    linux.deleteAddress(nl, device, "198.18.0.3/24");
    for (const address of ["198.18.0.33/24", "198.18.0.3/24"]) linux.addAddress(nl, device, address);
  });
  const one = lab.openGuest(host, "10.3.0.1", { vni: 6 });
  const two = lab.openGuest(b, "10.3.0.2", { vni: 6 });
  const capture = new Capture(two.path, GUEST_DEVICE);
  const inner = ipv4({ src: one.address, dst: two.address, protocol: 17 }, udp(1, 2, Buffer.from("from the right place")));
  sendFrame(one.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, inner));
  expect(capture.find((f) => f.includes("from the right place"))?.subarray(14)).toEqual(inner);
  capture.close();
});

test("a guest sees its own MAC and its router's, and nothing of the ids", () => {
  const one = lab.openGuest(a, "10.2.0.1", { vni: 5 });
  const near = lab.openGuest(a, "10.2.0.2", { vni: 5, gatewayMac: "06:00:00:00:ee:01" });
  const far = lab.openGuest(b, "10.2.0.3", { vni: 5, gatewayMac: "06:00:00:00:ee:02" });
  for (const target of [near, far]) {
    const capture = new Capture(target.path, GUEST_DEVICE);
    const inner = ipv4({ src: one.address, dst: target.address, protocol: 17 }, udp(1, 2, Buffer.from("hello there")));
    sendFrame(one.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, inner));
    const seen = capture.find((f) => f.includes("hello there"));
    capture.close();
    expect(seen).toEqual(ethernet({ dst: target.endpoint.guestMac, src: target.endpoint.gatewayMac }, inner));
  }
});
