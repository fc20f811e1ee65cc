import { expect, test } from "vitest";
import type { Configuration, Endpoint, Rule } from "./configuration.ts";
import { decide, type Packet } from "./decide.ts";
import { NOTHING, type State } from "./state.ts";
import { wireMac } from "./wire-id.ts";

const SECOND = 1000;
const anybody = { protocol: 17, portFrom: 53, portTo: 53, peer: { cidr: "0.0.0.0/0" } } as const;
const ASKS: Rule = { direction: "egress", ...anybody };

const guest: Endpoint = {
  ...{ wireId: 1, vni: 700, addresses: ["10.0.0.1"], guestMac: "06:00:00:00:00:01", gatewayMac: "06:00:00:00:ff:ff", ifindex: 4 },
  ...{
    device: "veth",
    guestMtu: 1450,
    rulesetId: 1,
    groupSetId: 5,
    meterId: 9n,
    sourceDestCheck: true,
    disabled: false,
    connectionBudget: 2,
    connectionShare: 2,
  },
};

const CONFIGURATION: Configuration = {
  host: { address: "198.18.0.1", tunnelIfindex: 3 },
  endpoints: [guest],
  connectionTable: 100,
  connectionCommon: 0,
  meterIds: new Set([9n]),
  rulesets: [{ id: 1, rules: [ASKS] }],
  mappings: [
    { vni: 700, address: "10.0.0.1", hostAddress: "198.18.0.1", wireId: 1, groupSetId: 5 },
    { vni: 700, address: "10.0.0.2", hostAddress: "198.18.0.2", wireId: 2, groupSetId: 6 },
  ],
};

function ipv4(from: number, to: number, ports: [number, number]): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.set([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
  bytes.writeUInt16BE(ports[0], 20);
  bytes.writeUInt16BE(ports[1], 22);
  return bytes;
}

function frame(destination: string, source: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${destination}${source}0800`.replaceAll(":", ""), "hex"), payload]);
}

const rest = { gsoSize: 0, vlanTci: 0 };
const question = (port = 5000): Packet => ({
  ...{ from: "instance", ifindex: 4, frame: frame(guest.gatewayMac, guest.guestMac, ipv4(1, 2, [port, 53])), ...rest },
});
const answer: Packet = {
  ...{ from: "tunnel", key: { vni: 700, sender: "198.18.0.2" }, frame: frame(wireMac(1), wireMac(6), ipv4(2, 1, [53, 5000])), ...rest },
};

function verdicts(packets: readonly Packet[], configuration = CONFIGURATION, start: State = NOTHING): string[] {
  let state = start;
  return packets.map((packet) => {
    const outcome = decide(configuration, state, 0, packet);
    state = outcome.state;
    return "reason" in outcome.decision ? outcome.decision.reason : outcome.decision.verdict;
  });
}

test("an answer needs no rule, but a question before it", () => {
  expect(verdicts([answer])).toEqual(["RULE_INGRESS"]);
  expect(verdicts([question(), answer])).toEqual(["tunnel", "deliver"]);
});

test("a change of rules cuts a connection with the next packet, whichever way it goes", () => {
  const { state } = decide(CONFIGURATION, NOTHING, 0, question());
  const changed = { ...CONFIGURATION, endpoints: [{ ...guest, rulesetId: 2 }], rulesets: [{ id: 2, rules: [] }] };
  expect(verdicts([answer], changed, state)).toEqual(["RULE_EGRESS"]);
  expect(decide(changed, state, 0, answer).state.connections.size).toBe(0);
});

test("while an interface's rules are missing its connections pass nothing, and go on when they are there", () => {
  const { state } = decide(CONFIGURATION, NOTHING, 0, question());
  const missing = { ...CONFIGURATION, endpoints: [{ ...guest, rulesetId: 2 }] };
  expect(verdicts([answer, question()], missing, state)).toEqual(["RULESET_MISSING", "RULESET_MISSING"]);
  const { connections } = decide(missing, state, 0, answer).state;
  expect(connections).toEqual(state.connections);
  expect(verdicts([answer], { ...missing, rulesets: [{ id: 2, rules: [ASKS] }] }, { ...state, connections })).toEqual(["deliver"]);
});

test("an interface that is switched off sends nothing and gets nothing, and keeps what it knew", () => {
  const { state } = decide(CONFIGURATION, NOTHING, 0, question());
  const off = { ...CONFIGURATION, endpoints: [{ ...guest, disabled: true }] };
  expect(verdicts([question(), answer], off, state)).toEqual(["INTERFACE_DISABLED", "INTERFACE_DISABLED"]);
  expect(verdicts([answer], CONFIGURATION, state)).toEqual(["deliver"]);
});

test("it is forgotten after its idle time", () => {
  const { state } = decide(CONFIGURATION, NOTHING, 0, question());
  expect(decide(CONFIGURATION, state, 30 * SECOND - 1, answer).decision.verdict).toBe("deliver");
  expect(decide(CONFIGURATION, state, 30 * SECOND, answer).decision.verdict).toBe("drop");
});

test("an interface holds so many and no more", () => {
  expect(verdicts([question(1), question(2), question(3), question(1)])).toEqual(["tunnel", "tunnel", "CONNECTION_BUDGET", "tunnel"]);
});

test("beyond its share an interface holds less than what it leaves to others", () => {
  const endpoint = { ...guest, connectionBudget: 10, connectionShare: 1 };
  const other = { ...endpoint, wireId: 3, connectionShare: 0 };
  const one = { ...CONFIGURATION, endpoints: [endpoint], connectionCommon: 4 };
  const asked = [question(1), question(2), question(3), question(4), question(1)];
  expect(verdicts(asked, one)).toEqual(["tunnel", "tunnel", "tunnel", "CONNECTION_SHARE", "tunnel"]);
  const { state } = decide({ ...one, endpoints: [{ ...other, ifindex: 4 }] }, NOTHING, 0, question(9));
  expect(
    [...state.connections.values()].map(({ key }) => key.wireId),
    "another holds one beyond its own",
  ).toEqual([3]);
  const both = { ...one, endpoints: [endpoint, { ...other, ifindex: 5 }] };
  expect(verdicts(asked, both, state)).toEqual(["tunnel", "tunnel", "tunnel", "CONNECTION_SHARE", "tunnel"]);
  expect(verdicts(asked, { ...both, connectionCommon: 3 }, state)).toEqual([
    "tunnel",
    "tunnel",
    ...Array(2).fill("CONNECTION_SHARE"),
    "tunnel",
  ]);
});

test("nothing passes unmetered, and nothing is remembered of it", () => {
  const { decision, state } = decide({ ...CONFIGURATION, meterIds: new Set() }, NOTHING, 0, question());
  expect(decision).toEqual({ verdict: "drop", reason: "METER_MISSING", countedFor: 1 });
  expect(state.connections.size).toBe(0);
});

test("frames without a whole header", () => {
  for (const [from, length] of [
    ["instance", 13],
    ["instance", 20],
    ["tunnel", 13],
    ["tunnel", 20],
  ] as const) {
    const whole = from === "instance" ? question() : answer;
    expect(verdicts([{ ...whole, frame: whole.frame.subarray(0, length) }])).toEqual(["MALFORMED"]);
  }
});

test("a connection whose present ruleset is not loaded waits for it, and so does an error about it", () => {
  const begun = decide(CONFIGURATION, NOTHING, 0, question());
  const missing: Configuration = { ...CONFIGURATION, endpoints: [{ ...guest, rulesetId: 2 }] };
  const quoted = Buffer.concat([Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]), ipv4(1, 2, [5000, 53])]);
  const header = Buffer.from([0x45, 0, 0, 20 + quoted.length, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
  const error: Packet = { ...answer, frame: frame(wireMac(1), wireMac(6), Buffer.concat([header, quoted])) };
  for (const packet of [answer, error]) {
    expect(decide(CONFIGURATION, begun.state, 0, packet).decision.verdict).toBe("deliver");
    const waiting = decide(missing, begun.state, 0, packet);
    expect(waiting.decision).toMatchObject({ verdict: "drop", reason: "RULESET_MISSING" });
    expect(waiting.state.connections).toEqual(begun.state.connections);
  }
});
