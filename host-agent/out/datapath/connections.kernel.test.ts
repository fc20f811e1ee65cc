import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inNamespace } from "../../testing/guest-shell.ts";
import { ENUMS } from "./layout.gen.ts";
import { readBytes, readNumber } from "./record.ts";
import { changeRules, echoBetween, outcome, quietGuest, tcpBetween, udpBetween, withMap } from "./testing/flows.ts";
import { icmp, icmpEcho, icmpUnreachable, ipv4, tcp, TCP_FLAG, udp } from "./testing/frames.ts";
import { ALLOW, ALLOW_ALL, Lab, mappingOf, type LabGuest, type LabHost } from "./testing/lab.ts";
import { putMappings } from "../../testing/mapping-batches.ts";

let lab: Lab;
let a: LabHost;
let b: LabHost;
let rulesets = 100;
let port = 20_000;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  b = lab.host("b", "198.18.0.2");
});
afterAll(() => lab.dispose());

/** Ids under which an interface remembers its connections, and their flags. */
function remembered(guest: LabGuest): { rulesetId: number; groupSetId: number; flags: number }[] {
  return withMap(guest.host, "connections", (map) =>
    [...map.entries()]
      .map(([, value]) => readBytes("connection", value, "state"))
      .filter((state) => readNumber("connection_key", readBytes("connection_state", state, "key"), "wire_id") === guest.endpoint.wireId)
      .map((state) => ({
        rulesetId: readNumber("connection_state", state, "ruleset_id"),
        groupSetId: readNumber("connection_state", state, "peer_group_set"),
        flags: readNumber("connection_state", state, "flags"),
      })),
  );
}

describe.each(["on one host", "across hosts"])("%s", (place) => {
  const here = place === "on one host";
  const vni = here ? 701 : 702;
  let shut: LabGuest;
  let open: LabGuest;
  beforeAll(() => {
    shut = quietGuest(lab, a, "10.0.0.1", ALLOW.egress, { vni });
    open = quietGuest(lab, here ? a : b, "10.0.0.2", ALLOW_ALL, { vni });
  });

  test.each([
    { protocol: "TCP", talk: () => tcpBetween(shut, open, ++port, 80) },
    { protocol: "UDP", talk: () => udpBetween(shut, open, ++port, 53) },
    { protocol: "ICMP echo", talk: () => echoBetween(shut, open, ++port) },
  ])("an answer needs no rule, what nobody asked for does: $protocol", ({ talk }) => {
    const asked = talk();
    expect(outcome(open, shut, asked.answer), "before the question").toBe("RULE_INGRESS");
    expect(outcome(shut, open, asked.opening)).toBe("passes");
    expect(outcome(open, shut, asked.answer)).toBe("passes");
    expect(outcome(shut, open, asked.opening), "and again").toBe("passes");
    expect(outcome(open, shut, talk().answer), "of another conversation").toBe("RULE_INGRESS");
  });

  test("who was talked to does not come back with something new", () => {
    const syn = tcpBetween(shut, open, ++port, 80);
    expect(outcome(shut, open, syn.opening)).toBe("passes");
    const ends = { src: open.address, dst: shut.address };
    expect(outcome(open, shut, ipv4({ ...ends, protocol: 6 }, tcp(80, port, TCP_FLAG.syn)))).toBe("RULE_INGRESS");
    expect(outcome(open, shut, ipv4({ ...ends, protocol: 6 }, tcp(80, port, TCP_FLAG.ack)))).toBe("passes");
    expect(outcome(shut, open, echoBetween(shut, open, 0).opening)).toBe("passes");
    expect(outcome(open, shut, ipv4({ ...ends, protocol: 1 }, icmpEcho(Buffer.alloc(8), { identifier: 0 })))).toBe("RULE_INGRESS");
    expect(outcome(open, shut, ipv4({ ...ends, protocol: 1 }, icmp(14, Buffer.alloc(16))))).toBe("RULE_INGRESS");
  });

  test.each([
    { began: "egress", denied: "RULE_EGRESS", next: "opening" },
    { began: "egress", denied: "RULE_EGRESS", next: "answer" },
    { began: "ingress", denied: "RULE_INGRESS", next: "opening" },
    { began: "ingress", denied: "RULE_INGRESS", next: "answer" },
  ] as const)("a rule that goes cuts what began by it: $began, next packet the $next", ({ began, denied, next }) => {
    const judged = quietGuest(lab, a, "10.0.0.3", ALLOW[began], { vni });
    const [client, server] = began === "egress" ? [judged, open] : [open, judged];
    const { opening, answer } = udpBetween(client, server, ++port, 53);
    expect(outcome(client, server, opening)).toBe("passes");
    expect(outcome(server, client, answer)).toBe("passes");

    changeRules(judged, ++rulesets, began === "egress" ? ALLOW.ingress.map((r) => ({ ...r, protocol: 6 })) : []);
    const send = next === "opening" ? ([client, server, opening] as const) : ([server, client, answer] as const);
    expect(outcome(...send)).toBe(denied);
    expect(remembered(judged)).toEqual([]);
    changeRules(judged, ++rulesets, ALLOW[began]);
    expect(outcome(server, client, answer), "an answer to what is forgotten").toBe(began === "egress" ? "RULE_INGRESS" : "RULE_EGRESS");
    expect(outcome(client, server, opening), "picked up in the direction of the rule").toBe("passes");
    expect(outcome(server, client, answer)).toBe("passes");
  });

  test("a change of rules that allows it still leaves it alone", () => {
    const judged = quietGuest(lab, a, "10.0.0.4", ALLOW.egress, { vni });
    const { opening, answer } = tcpBetween(judged, open, ++port, 80);
    expect([outcome(judged, open, opening), outcome(open, judged, answer)]).toEqual(["passes", "passes"]);
    changeRules(judged, ++rulesets, [{ direction: "egress", protocol: 6, portFrom: 80, portTo: 80, peerCidr: `${open.address}/32` }]);
    expect(outcome(open, judged, answer)).toBe("passes");
    const groupSetId = open.endpoint.groupSetId;
    const flags = ENUMS.connection_flag.CONNECTION_ANSWERED;
    expect(remembered(judged)).toEqual([{ rulesetId: rulesets, groupSetId, flags }]);
    expect(outcome(judged, open, opening)).toBe("passes");
  });

  test.each([
    { began: "egress", denied: "RULE_EGRESS", next: "opening" },
    { began: "egress", denied: "RULE_EGRESS", next: "answer" },
    { began: "ingress", denied: "RULE_INGRESS", next: "opening" },
    { began: "ingress", denied: "RULE_INGRESS", next: "answer" },
  ] as const)("a peer that leaves the group is cut off: $began, next packet the $next", ({ began, denied, next }) => {
    const member = quietGuest(lab, here ? a : b, "10.0.0.5", ALLOW_ALL, { vni, groupSetId: 51 });
    const rule = { direction: began, protocol: 17, portFrom: 53, portTo: 53, peerGroupId: "", peerGroupSets: [50, 51] };
    const judged = quietGuest(lab, a, "10.0.0.6", [rule], { vni });
    const [client, server] = began === "egress" ? [judged, member] : [member, judged];
    const { opening, answer } = udpBetween(client, server, ++port, 53);
    const move = (groupSetId: number): void => {
      member.endpoint = { ...member.endpoint, groupSetId };
      member.host.datapath.putEndpoint(member.endpoint);
      lab.announce(mappingOf(member));
    };
    expect([outcome(client, server, opening), outcome(server, client, answer)]).toEqual(["passes", "passes"]);
    move(50);
    expect(outcome(server, client, answer), "another set with the group").toBe("passes");
    move(52);
    expect(outcome(...(next === "opening" ? ([client, server, opening] as const) : ([server, client, answer] as const)))).toBe(denied);
    expect(remembered(judged)).toEqual([]);
    move(51);
    expect([outcome(client, server, opening), outcome(server, client, answer)]).toEqual(["passes", "passes"]);
  });

  test("an ICMP error passes for a connection that is there, and for no other", () => {
    const sender = quietGuest(
      lab,
      a,
      "10.0.0.7",
      [{ direction: "egress", protocol: 17, portFrom: 53, portTo: 53, peerCidr: "0.0.0.0/0" }],
      { vni },
    );
    const about = (packet: Buffer, src: LabGuest, dst: LabGuest): Buffer =>
      ipv4({ src: src.address, dst: dst.address, protocol: 1 }, icmpUnreachable(packet));
    const { opening, answer } = udpBetween(sender, open, ++port, 53);
    expect(outcome(open, sender, about(opening, open, sender)), "nothing was sent yet").toBe("RULE_INGRESS");
    expect([outcome(sender, open, opening), outcome(open, sender, answer)]).toEqual(["passes", "passes"]);
    const before = remembered(sender);
    expect(outcome(open, sender, about(opening, open, sender))).toBe("passes");
    expect(outcome(sender, open, about(answer, sender, open)), "about an answer").toBe("passes");
    expect(remembered(sender)).toEqual(before);
    expect(outcome(open, sender, about(udpBetween(sender, open, port, 54).opening, open, sender)), "forged").toBe("RULE_INGRESS");
    expect(outcome(sender, open, about(opening, sender, open)), "about what it sent itself").toBe("RULE_EGRESS");

    changeRules(sender, ++rulesets, [{ direction: "egress", protocol: 6, portFrom: 53, portTo: 53, peerCidr: "0.0.0.0/0" }]);
    expect(outcome(open, sender, about(opening, open, sender)), "the rule is gone").toBe("RULE_EGRESS");
  });

  test("later fragments pass by the ports of the first, and an orphan does not", () => {
    const sender = quietGuest(
      lab,
      a,
      "10.0.0.8",
      [{ direction: "egress", protocol: 17, portFrom: 53, portTo: 53, peerCidr: "0.0.0.0/0" }],
      { vni },
    );
    const ends = { src: sender.address, dst: open.address, protocol: 17 };
    const first = (identification: number, to: number): Buffer =>
      ipv4({ ...ends, identification, moreFragments: true }, udp(++port, to, Buffer.alloc(1000)));
    const later = (identification: number): Buffer => ipv4({ ...ends, identification, fragmentOffset: 1008 }, Buffer.alloc(500));
    expect(outcome(sender, open, later(1))).toBe("FRAGMENT");
    expect(outcome(sender, open, first(1, 53))).toBe("passes");
    expect(outcome(sender, open, later(1))).toBe("passes");
    expect(outcome(sender, open, later(2)), "of another datagram").toBe("FRAGMENT");
    expect(outcome(sender, open, first(3, 54))).toBe("RULE_EGRESS");
    expect(outcome(sender, open, later(3)), "whose first did not pass").toBe("FRAGMENT");
    expect(remembered(sender)).toHaveLength(1);

    const answer = { src: open.address, dst: sender.address, protocol: 17, identification: 4 };
    expect(outcome(open, sender, ipv4({ ...answer, moreFragments: true }, udp(53, port - 1, Buffer.alloc(1000))))).toBe("passes");
    expect(outcome(open, sender, ipv4({ ...answer, fragmentOffset: 1008 }, Buffer.alloc(500))), "of an answer").toBe("passes");

    withMap(a, "fragments", (map) => {
      for (const [key, value] of map.entries()) map.put(key, Buffer.concat([value.subarray(0, -8), Buffer.alloc(8)]));
    });
    expect(outcome(sender, open, later(1)), "long after").toBe("FRAGMENT");
  });

  test("kernels that cut a large datagram up understand each other", async () => {
    const asking = lab.openGuest(a, "10.0.0.9", { vni }, ALLOW.egress);
    const target = lab.openGuest(here ? a : b, "10.0.0.10", { vni }, ALLOW.ingress);
    expect(await inNamespace(asking.path, "ping", "-c", "3", "-i", "0.05", "-W", "1", "-s", "4000", target.address)).toMatchObject({
      ok: true,
    });
  });
});

test("a router's second pass is not the answer to its first", () => {
  const vni = 703;
  const router = quietGuest(lab, a, "10.0.0.1", ALLOW.ingress, { vni, sourceDestCheck: false });
  const sender = quietGuest(lab, b, "10.0.0.2", ALLOW_ALL, { vni });
  const target = quietGuest(lab, b, "10.0.0.3", ALLOW_ALL, { vni });
  // The route to the target leads through the router.
  putMappings(b.datapath, [{ ...mappingOf(router), prefix: `${target.address}/32` }]);
  putMappings(a.datapath, [{ ...mappingOf(target) }]);
  const { opening } = udpBetween(sender, target, ++port, 53);
  expect(outcome(sender, router, opening)).toBe("passes");
  expect(outcome(router, target, opening)).toBe("RULE_EGRESS");
});

test("TCP is remembered as ending, and as begun anew on the same ports", () => {
  const vni = 704;
  const client = quietGuest(lab, a, "10.0.0.1", ALLOW.egress, { vni });
  const server = quietGuest(lab, b, "10.0.0.2", ALLOW.ingress, { vni });
  const { CONNECTION_ANSWERED, CONNECTION_CLOSING } = ENUMS.connection_flag;
  const { opening, answer } = tcpBetween(client, server, 1000, 80);
  const end = ipv4({ src: server.address, dst: client.address, protocol: 6 }, tcp(80, 1000, TCP_FLAG.fin | TCP_FLAG.ack));
  const flags = (): number[] => [client, server].flatMap((guest) => remembered(guest).map((c) => c.flags));
  expect(outcome(client, server, opening)).toBe("passes");
  expect(flags()).toEqual([0, 0]);
  expect(outcome(server, client, answer)).toBe("passes");
  expect(flags()).toEqual([CONNECTION_ANSWERED, CONNECTION_ANSWERED]);
  expect(outcome(server, client, end)).toBe("passes");
  expect(flags()).toEqual(Array(2).fill(CONNECTION_ANSWERED | CONNECTION_CLOSING));
  expect(outcome(client, server, opening)).toBe("passes");
  expect(flags()).toEqual([0, 0]);
});
