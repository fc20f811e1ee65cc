import { closeSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildTestBpf } from "../../bpf/build.ts";
import { addressKey, keyText } from "./address.ts";
import { describeLayout } from "./describe-layout.ts";
import { ENUMS, MAPS, SCHEMA, STRUCTS } from "./layout.gen.ts";
import { check, mapLookup, mapUpdate, objGet } from "./libbpf.ts";
import { openObject, type OpenObject } from "./load.ts";
import { readBigint, readBytes, readNumber, u32 } from "./record.ts";
import { ethernet, ipv4, udp, wireMac } from "./testing/frames.ts";
import { withMap } from "./testing/flows.ts";
import { GATEWAY_MAC, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";
import { testRun, TC_ACT_OK } from "./testing/test-run.ts";

// The deciding half alone (D23), on the maps of a live host: what the comparison with the reference model will run on.

const PROGRAMS = ["test_from_instance", "test_from_tunnel"];
let lab: Lab;
let a: LabHost;
let one: LabGuest;
let near: LabGuest;
let far: LabGuest;
let decider: OpenObject;
let hostMaps: Record<string, number>;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  one = lab.openGuest(a, "10.0.0.1");
  near = lab.openGuest(a, "10.0.0.2");
  far = lab.openGuest(lab.host("b", "198.18.0.2"), "10.0.0.3");
  const pin = (name: string): number => check(objGet(`${a.options.bpffsDir}/${SCHEMA}/maps/${name}`), `open ${name}`);
  hostMaps = Object.fromEntries(Object.keys(MAPS).map((name) => [name, pin(name)]));
  decider = openObject(buildTestBpf().objectPath, hostMaps, PROGRAMS);
});
afterAll(() => {
  decider.close();
  for (const fd of Object.values(hostMaps)) closeSync(fd);
  lab.dispose();
});

function decide(program: string, frame: Buffer, ifindex?: number): Buffer {
  expect(testRun(decider.programFd(program), frame, { path: a.path, ifindex }).verdict).toBe(TC_ACT_OK);
  const decision = Buffer.alloc(STRUCTS.decision.size);
  check(mapLookup(decider.mapFd("test_decision"), u32(0), decision), "read the decision");
  return decision;
}

/** struct tunnel_source as the test object describes it: it is no part of the generated layout. */
function inject(vni: number, sender: string): void {
  const { size, fields } = describeLayout(readFileSync(buildTestBpf().objectPath)).structs["tunnel_source"]!;
  const source = Buffer.alloc(size);
  source.writeUInt32LE(1, fields["present"]!.offset);
  source.writeUInt32LE(vni, fields["vni"]!.offset);
  source.set(addressKey(sender), fields["sender"]!.offset);
  check(mapUpdate(decider.mapFd("test_tunnel"), u32(0), source, 0n), "inject a tunnel key");
}

/** sizeof(struct test_control): the kernel reads as much, whatever is there. */
const TEST_CONTROL_SIZE = 40;

/** struct test_control: the clock to decide by (0: the kernel's), and whether connections are written. */
function control({ now = 0n, commit = 0 }: { now?: bigint; commit?: number }): void {
  const value = Buffer.alloc(TEST_CONTROL_SIZE);
  value.writeBigUInt64LE(now, 0);
  value.writeUInt32LE(commit, 8);
  check(mapUpdate(decider.mapFd("test_control"), u32(0), value, 0n), "set the test's control");
}

test("a guest's packet for another host: the tunnel, and what it will carry", () => {
  const payload = ipv4({ src: one.address, dst: far.address, protocol: 17 }, udp(1, 2, Buffer.from("x")));
  const frame = ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, payload);
  const d = decide("test_from_instance", frame, one.endpoint.ifindex);
  expect(readNumber("decision", d, "verdict")).toBe(ENUMS.verdict.VERDICT_TUNNEL);
  expect(readNumber("decision", d, "vni")).toBe(one.endpoint.vni);
  expect(keyText(readBytes("decision", d, "remote"))).toBe("198.18.0.2");
  expect(readNumber("decision", d, "ifindex")).toBe(a.options.tunnelIfindex);
  expect(readNumber("decision", d, "target_wire_id")).toBe(far.endpoint.wireId);
  expect(readBigint("decision", d, "egress_meter")).toBe(one.endpoint.meterId);
  expect(readBigint("decision", d, "ingress_meter")).toBe(0n);
  expect(readNumber("decision", d, "reason")).toBe(0);
});

test("a packet from the tunnel with an injected key: delivered, the sender's groups read from it", () => {
  const payload = ipv4({ src: far.address, dst: near.address, protocol: 17 }, udp(1, 2, Buffer.from("x")));
  const frame = ethernet({ dst: wireMac(near.endpoint.wireId), src: wireMac(0xcafe) }, payload);
  inject(far.endpoint.vni, "198.18.0.2");
  const d = decide("test_from_tunnel", frame);
  expect(readNumber("decision", d, "verdict")).toBe(ENUMS.verdict.VERDICT_DELIVER);
  expect(readNumber("decision", d, "ifindex")).toBe(near.endpoint.ifindex);
  expect(readNumber("decision", d, "group_set_id")).toBe(0xcafe);
  expect(readBigint("decision", d, "ingress_meter")).toBe(near.endpoint.meterId);

  inject(far.endpoint.vni, "198.18.0.77");
  const stranger = decide("test_from_tunnel", frame);
  expect(readNumber("decision", stranger, "verdict")).toBe(ENUMS.verdict.VERDICT_DROP);
  expect(readNumber("decision", stranger, "reason")).toBe(ENUMS.drop_reason.DROP_UNKNOWN_SENDER_HOST);
});

test("deciding begins no connection; committing the decision does", () => {
  const payload = ipv4({ src: one.address, dst: near.address, protocol: 17 }, udp(1, 2, Buffer.from("x")));
  const frame = ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, payload);
  const ops = (): number[] => {
    const d = decide("test_from_instance", frame, one.endpoint.ifindex);
    return (["egress", "ingress"] as const).map((side) => readNumber("connection_effect", readBytes("decision", d, side), "op"));
  };
  const { CONNECTION_BEGIN, CONNECTION_NONE } = ENUMS.connection_op;
  const entries = (): number => withMap(a, "connections", (map) => [...map.entries()].length);
  expect([ops(), ops(), entries()]).toEqual([[CONNECTION_BEGIN, CONNECTION_BEGIN], [CONNECTION_BEGIN, CONNECTION_BEGIN], 0]);
  control({ commit: 1 });
  expect([ops(), entries()]).toEqual([[CONNECTION_BEGIN, CONNECTION_BEGIN], 2]);
  control({ commit: 0 });
  expect(ops()).toEqual([CONNECTION_NONE, CONNECTION_NONE]);
  control({ now: process.hrtime.bigint() + 29_000_000_000n });
  expect(ops()).toEqual([ENUMS.connection_op.CONNECTION_TOUCH, ENUMS.connection_op.CONNECTION_TOUCH]);
  control({ now: process.hrtime.bigint() + 31_000_000_000n });
  expect(ops(), "idle for too long").toEqual([CONNECTION_BEGIN, CONNECTION_BEGIN]);
  control({});
});

test("deciding counts no drop, and no packet but the one that was committed, at both its ends", () => {
  expect(a.datapath.readDrops()).toEqual([]);
  const counted = a.datapath.readMeters().filter((m) => m.packets > 0n);
  expect(
    counted.map(({ direction, packets }) => ({ direction, packets })).toSorted((x, y) => x.direction.localeCompare(y.direction)),
  ).toEqual([
    { direction: "egress", packets: 1n },
    { direction: "ingress", packets: 1n },
  ]);
});
