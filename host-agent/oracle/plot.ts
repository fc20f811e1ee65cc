import type { Configuration, Ruleset } from "#lib/model/index.ts";
import { withRuleset } from "./change.ts";
import { draftOf, packetStep, routeOf, type Draft } from "./draft.ts";
import { icmpError } from "./error.ts";
import { endpointsHere, FLAG, localEndpoint, type Flow } from "./flow.ts";
import { strangerOf } from "./fragment.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { membersOnlyRuleset, openRuleset, PROTOCOLS, servicesRuleset } from "./world.ts";

/** Steps that mean something only one after the other, and that chance alone would seldom bring together. */
export interface Plot {
  readonly steps: readonly Step[];
  /** What holds after them. */
  readonly configuration: Configuration;
}

export function randomPlot(random: Random, configuration: Configuration, flow: Flow): Plot | undefined {
  return random.pick([inFragments, underAnError, aboutNothing, withoutRoom])(random, configuration, flow);
}

/** Beside the time for which a first fragment counts. */
const FRAGMENT_SPANS = [1999, 2000, 2001];

/** A packet in two fragments; between them another of the same flow, or just as much time as the first counts. */
function inFragments(random: Random, before: Configuration, any: Flow): Plot | undefined {
  const flow = random.chance(0.4) ? { ...any, protocol: PROTOCOLS.icmp } : any;
  const here = endpointsHere(before, flow);
  const isOpen = flow.protocol === PROTOCOLS.tcp && random.chance(0.5);
  const configuration = isOpen ? withRuleset(before, here, openRuleset(random)) : before;
  const isAnswer = random.chance(0.3);
  const whole = draftOf(random, configuration, flow, isAnswer);
  const between = draftOf(random, configuration, flow, isAnswer);
  if (whole === undefined || between === undefined) return undefined;
  if (flow.protocol === PROTOCOLS.tcp) {
    const { fin, syn, rst, ack } = FLAG;
    const pairs = [
      [syn, fin],
      [syn, rst],
      [fin, syn],
      [rst, syn],
      [fin, syn | fin],
      [syn, ack],
    ] as const;
    const [one, other] = random.pick(pairs);
    whole.payload.writeUInt8(one, TCP_FLAGS_AT);
    between.payload.writeUInt8(other, TCP_FLAGS_AT);
  }
  if (flow.protocol === PROTOCOLS.icmp) whole.payload.writeUInt8(random.pick([0, 8, 13, 13, 13]), 0);
  const first = { ...whole, ip: { ...whole.ip, moreFragments: true }, note: `first fragment of ${whole.note}` };
  const rest = {
    ...whole,
    ip: { ...whole.ip, fragmentOffset: 8 },
    payload: random.bytes(random.between(0, 40)),
    note: `rest of ${whole.note}`,
  };
  const steps: Step[] = [{ what: "configuration", configuration, note: isOpen ? "all may pass" : "as before" }, packetStep(first)];
  if (random.chance(0.75)) steps.push(packetStep(between));
  if (random.chance(0.4)) steps.push({ what: "time", milliseconds: random.pick(FRAGMENT_SPANS) });
  steps.push(packetStep(random.chance(0.4) ? strangerOf(random, configuration, rest) : rest));
  return { steps, configuration };
}

const TCP_FLAGS_AT = 13;

/** A connection, other rules at its end on this host, and an ICMP error about it, mostly from a router on the way. */
function underAnError(random: Random, configuration: Configuration, flow: Flow): Plot | undefined {
  const [endpoint] = endpointsHere(configuration, flow);
  const about = draftOf(random, configuration, flow, false);
  if (endpoint === undefined || about === undefined) return undefined;
  const next = withRuleset(configuration, [endpoint], membersOnlyRuleset(random));
  const error = errorAbout(random, next, flow.vni, about);
  if (error === undefined) return undefined;
  return {
    steps: [packetStep(about), { what: "configuration", configuration: next, note: "other rules under it" }, packetStep(error)],
    configuration: next,
  };
}

/** A connection, and an ICMP error about something of the same two that never was: no echo, no such echo, or no such header. */
function aboutNothing(random: Random, before: Configuration, any: Flow): Plot | undefined {
  const {
    vni,
    ends: [a, b],
  } = any;
  const configuration = withRuleset(before, endpointsHere(before, any), servicesRuleset(random));
  const port = random.pick([0, 0, 0, 7]);
  const protocol = random.pick([PROTOCOLS.icmp, PROTOCOLS.icmp, PROTOCOLS.gre]);
  const flow: Flow = {
    vni,
    protocol,
    ends: [
      { ...a, port },
      { ...b, port },
    ],
  };
  const request = draftOf(random, configuration, flow, false);
  const never = draftOf(random, configuration, flow, random.chance(0.75));
  if (request === undefined || never === undefined) return undefined;
  if (protocol === PROTOCOLS.icmp) {
    request.payload.writeUInt8(8, 0);
    never.payload.writeUInt8(random.pick([0, 8, 8, 13]), 0);
  }
  const error = errorAbout(random, configuration, vni, never);
  if (error === undefined) return undefined;
  if (protocol === PROTOCOLS.gre && error.payload.length > QUOTED_AT) error.payload.writeUInt8(0x40 | random.between(0, 15), QUOTED_AT);
  const rules: Step = { what: "configuration", configuration, note: "services only" };
  return { steps: [rules, packetStep(request), packetStep(error)], configuration };
}

/** Both ends are here, the receiver's connection went, and the table has no room for another: the sender's must stay as it is. */
function withoutRoom(random: Random, configuration: Configuration, flow: Flow): Plot | undefined {
  const [sender, receiver] = flow.ends.map(({ address }) => localEndpoint(configuration, flow.vni, address));
  const [begins, denied, refused] = [0, 1, 2].map(() => draftOf(random, configuration, flow, false));
  if (sender === undefined || receiver === undefined || begins === undefined || denied === undefined || refused === undefined)
    return undefined;
  const none: Ruleset = { id: random.between(1, 0xffffffff), rules: [] };
  const open = withRuleset(configuration, [sender, receiver], openRuleset(random));
  const closed = withRuleset(open, [receiver], none);
  const full = { ...open, connectionTable: 0 };
  const change = (next: Configuration, note: string): Step => ({ what: "configuration", configuration: next, note });
  return {
    steps: [
      ...[change(open, "all may pass"), packetStep(begins)],
      ...[change(closed, "the receiver may have nothing"), packetStep(denied)],
      ...[change(full, "all may pass, and no room"), { what: "time", milliseconds: 4000 } as const, packetStep(refused)],
      change(open, "room again"),
    ],
    configuration: open,
  };
}

/** In an ICMP error. */
const QUOTED_AT = 8;

function errorAbout(random: Random, configuration: Configuration, vni: number, about: Draft): Draft | undefined {
  const known = configuration.mappings.filter((m) => m.vni === vni);
  const from = random.chance(0.4) || known.length === 0 ? about.ip.dst : random.pick(known).address;
  const route = routeOf(random, configuration, vni, from, about.ip.src);
  if (route === undefined) return undefined;
  const ip = { src: from, dst: about.ip.src, protocol: PROTOCOLS.icmp };
  const { payload, note } = icmpError(random, about);
  return { ...route, ip, payload, gsoSize: 0, vlanTci: 0, note: `${note} from ${from}, about ${about.note}` };
}
