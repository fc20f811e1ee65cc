import { afterAll, beforeAll, expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import type { Endpoint } from "../../core/ports.ts";
import { arp, ethernet, ETHERTYPE, ipv4, udp } from "./testing/frames.ts";
import { ALLOW_ALL, dropsOf, GATEWAY_MAC, GUEST_DEVICE, GUEST_MTU, Lab, mappingOf, type LabGuest, type LabHost } from "./testing/lab.ts";
import { Capture, sendFrame } from "./testing/raw-socket.ts";
import { Tap } from "./testing/tap.ts";

// D4: what goes into a tap goes the other way than into a veth, or it is lost.

let lab: Lab;
let a: LabHost;
let near: LabGuest;
let far: LabGuest;
let tap: Tap;
let machine: Endpoint;
const ADDRESS = "10.0.0.9";

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  near = lab.openGuest(a, "10.0.0.1");
  far = lab.openGuest(lab.host("b", "198.18.0.2"), "10.0.0.2");
  tap = new Tap(a.path, "tap0");
  linux.withNamespace(a.path, () => a.datapath.guardDevice(tap.ifindex));
  linux.withNetlink(a.path, (nl) => linux.setLink(nl, tap.ifindex, { up: true, mtu: GUEST_MTU }));
  machine = {
    ...{ wireId: 99, vni: near.endpoint.vni, addresses: [ADDRESS], guestMac: "06:00:00:00:00:99", gatewayMac: GATEWAY_MAC },
    ...{
      ifindex: tap.ifindex,
      device: "tap",
      guestMtu: GUEST_MTU,
      rulesetId: 99,
      groupSetId: 1,
      meterId: 99n,
      sourceDestCheck: true,
      disabled: false,
    },
  };
  a.datapath.putRuleset({ id: machine.rulesetId, rules: ALLOW_ALL });
  a.datapath.putEndpoint(machine);
  lab.announce({ ...mappingOf(near), prefix: ADDRESS, hostAddress: a.address, wireId: machine.wireId });
});
afterAll(() => {
  tap.close();
  lab.dispose();
});

test("a virtual machine is answered, sends and receives, on its host and across hosts", () => {
  tap.send(
    ethernet(
      { dst: "ff:ff:ff:ff:ff:ff", src: machine.guestMac, type: ETHERTYPE.arp },
      arp({ senderMac: machine.guestMac, sender: ADDRESS, target: near.address }),
    ),
  );
  expect(tap.find((f) => f.readUInt16BE(12) === ETHERTYPE.arp)?.subarray(0, 14)).toEqual(
    ethernet({ dst: machine.guestMac, src: GATEWAY_MAC, type: ETHERTYPE.arp }, Buffer.alloc(0)),
  );

  for (const peer of [near, far]) {
    const out = ipv4({ src: ADDRESS, dst: peer.address, protocol: 17 }, udp(1, 2, Buffer.from("out of the machine")));
    const capture = new Capture(peer.path, GUEST_DEVICE);
    tap.send(ethernet({ dst: GATEWAY_MAC, src: machine.guestMac }, out));
    expect(capture.find((f) => f.includes("out of the machine"))?.subarray(14)).toEqual(out);
    capture.close();

    const into = ipv4({ src: peer.address, dst: ADDRESS, protocol: 17 }, udp(1, 2, Buffer.from("into the machine")));
    sendFrame(peer.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: peer.endpoint.guestMac }, into));
    expect(tap.find((f) => f.includes("into the machine"))).toEqual(ethernet({ dst: machine.guestMac, src: GATEWAY_MAC }, into));
  }
  expect(dropsOf(a, machine.wireId)).toEqual({});
  const sent = a.datapath.readMeters().find((m) => m.meterId === machine.meterId && m.direction === "egress");
  expect(sent).toMatchObject({ packets: 2n, bytes: 2n * BigInt(20 + 8 + "out of the machine".length) });
});

test("a frame that a machine tags is dropped", () => {
  tap.send(ethernet({ dst: GATEWAY_MAC, src: machine.guestMac, type: ETHERTYPE.vlan }, Buffer.from([0, 5, 8, 0, 1, 2, 3, 4])));
  expect(dropsOf(a, machine.wireId)).toEqual({ VLAN_TAG: 1n });
});
