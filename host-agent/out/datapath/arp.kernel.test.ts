import { afterAll, beforeAll, expect, test } from "vitest";
import { macBytes } from "#lib/linux/netlink/address-bytes.ts";
import { arp, ethernet, ETHERTYPE, type ArpFields } from "./testing/frames.ts";
import { dropsOf, GATEWAY_MAC, GUEST_DEVICE, Lab, type LabGuest } from "./testing/lab.ts";
import { Capture, sendFrame } from "./testing/raw-socket.ts";

let lab: Lab;
let guest: LabGuest;

beforeAll(() => {
  lab = new Lab();
  guest = lab.openGuest(lab.host("a", "198.18.0.1"), "10.1.0.1");
});
afterAll(() => lab.dispose());

const BROADCAST = "ff:ff:ff:ff:ff:ff";

/** The ARP reply that comes back to a question, if any. */
function ask(fields: Partial<ArpFields>): Buffer | undefined {
  const senderMac = guest.endpoint.guestMac;
  const question = arp({ senderMac, sender: guest.address, target: "10.1.0.77", ...fields });
  const capture = new Capture(guest.path, GUEST_DEVICE);
  sendFrame(guest.path, GUEST_DEVICE, ethernet({ dst: BROADCAST, src: senderMac, type: ETHERTYPE.arp }, question));
  const own = Buffer.from(macBytes(senderMac));
  const reply = capture.find((f) => f.subarray(0, 6).equals(own) && f.readUInt16BE(12) === ETHERTYPE.arp, 200);
  capture.close();
  return reply;
}

function counted(reason: string): bigint {
  return dropsOf(guest.host, guest.endpoint.wireId)[reason] ?? 0n;
}

test("any address is answered with the router's MAC", () => {
  const reply = arp({ operation: 2, senderMac: GATEWAY_MAC, sender: "10.1.0.77", target: guest.address });
  reply.set(macBytes(guest.endpoint.guestMac), 18);
  expect(ask({})).toEqual(ethernet({ dst: guest.endpoint.guestMac, src: GATEWAY_MAC, type: ETHERTYPE.arp }, reply));
});

test("a duplicate-address probe, an announcement and an unasked reply are not", () => {
  for (const quiet of [{ sender: "0.0.0.0" }, { sender: "0.0.0.0", target: guest.address }, { target: guest.address }, { operation: 2 }]) {
    const before = counted("ARP_UNANSWERED");
    expect(ask(quiet)).toBeUndefined();
    expect(counted("ARP_UNANSWERED")).toBe(before + 1n);
  }
});

test("a sender that is not the interface is dropped", () => {
  for (const spoof of [{ senderMac: "06:00:00:00:00:99" }, { sender: "10.1.0.2" }]) {
    const before = counted("ARP_SPOOFED");
    expect(ask(spoof)).toBeUndefined();
    expect(counted("ARP_SPOOFED")).toBe(before + 1n);
  }
});
