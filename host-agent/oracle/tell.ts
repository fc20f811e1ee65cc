import type { Configuration } from "#lib/model/index.ts";
import { ipv4 } from "../out/datapath/testing/frames.ts";
import { byGroupsOnly, randomChange } from "./change.ts";
import { Course } from "./course.ts";
import { draftOf, packetOf, packetStep, routeOf, type Draft } from "./draft.ts";
import { icmpError, padWithEnd } from "./error.ts";
import { strangerOf } from "./fragment.ts";
import { randomFlow, type Flow } from "./flow.ts";
import { judgedByPort } from "./judged-by-port.ts";
import { randomPlot } from "./plot.ts";
import { Random } from "./random.ts";
import { rulesMissing } from "./rules-missing.ts";
import type { Scenario, Step } from "./scenario.ts";
import { spoil } from "./spoil.ts";
import { switchedOff } from "./switched-off.ts";
import { randomConfiguration, type World } from "./world.ts";

/** The idle limits of the design page and what lies just beside them, and fractions of them, in milliseconds. */
const SPANS = [
  // the first two: another processor's clock
  -1, -1000, 1, 1000, 1999, 2000, 2001, 1875, 1876, 3750, 3751, 11_250, 11_251, 29_999, 30_000, 59_999, 60_000, 179_999, 180_000, 7_199_999,
  7_200_000,
];

/** How many other packets are tried instead of one that rules or budgets deny. */
const MORE = [0, 2, 4, 8];

/** How many the program and the model are told, and how long each is. */
export const STORIES = 400;
export const STEPS = 120;

/** The story of this seed: so many steps, and its end. */
export function tell(seed: number, world: World, length: number): Scenario {
  const random = new Random(seed);
  const start = randomConfiguration(random, world);
  const teller = new Teller(random, world, start);
  const steps = Array.from({ length }, () => teller.step());
  return { seed, start, steps: [...steps, ...teller.end()] };
}

class Teller {
  readonly #random: Random;
  readonly #world: World;
  /** What the model has decided of all this so far. */
  readonly #course: Course;
  #configuration: Configuration;
  #flows: Flow[];
  /** The last packet that was sent as its flow would. */
  #last: Draft | undefined;
  /** Just now: an error comes often then, about a connection that is to be judged again. */
  #isChanged = false;
  /** What a plot has still to tell. */
  #ahead: Step[] = [];
  /** A later fragment that is still to come. */
  #rest: Draft | undefined;

  constructor(random: Random, world: World, start: Configuration) {
    this.#random = random;
    this.#world = world;
    this.#course = new Course(start);
    this.#configuration = start;
    this.#flows = random.list(2, 4, () => randomFlow(random, start));
  }

  step(): Step {
    const step = this.#next();
    this.#course.take(step);
    return step;
  }

  #next(): Step {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined) return ahead;
    return this.#random.weighted<() => Step>([
      [86, () => this.#packet()],
      [8, () => this.#change()],
      [6, () => this.#plot()],
      [6, () => ({ what: "time", milliseconds: this.#random.pick(SPANS) })],
    ])();
  }

  /** Told when all else was: then it makes no other story of that. */
  end(): Step[] {
    const { connectionTable } = this.#configuration; // a table that is fuller than it may be is none that a host can have
    const configuration = { ...randomConfiguration(this.#random, this.#world), connectionTable };
    return [switchedOff, rulesMissing, switchedOff, judgedByPort].flatMap((tellOf) => tellOf(this.#random, configuration));
  }

  #change(): Step {
    const { note, configuration } = this.#changeAbout() ?? randomChange(this.#random, this.#configuration, this.#world);
    this.#configuration = configuration;
    this.#isChanged = true;
    return { what: "configuration", configuration, note };
  }

  #plot(): Step {
    const plot = randomPlot(this.#random, this.#configuration, this.#random.pick(this.#flows));
    if (plot === undefined) return this.#packet();
    this.#configuration = plot.configuration;
    this.#ahead = [...plot.steps];
    return this.#ahead.shift()!;
  }

  /** One that errors about the last packet will be judged by. */
  #changeAbout(): ReturnType<typeof randomChange> | undefined {
    const about = this.#last;
    if (about?.origin.from !== "instance" || this.#random.chance(0.85)) return undefined;
    const { ifindex } = about.origin;
    return { note: "only by groups", configuration: byGroupsOnly(this.#random, this.#configuration, ifindex, about.ip.dst) };
  }

  #packet(): Step {
    const random = this.#random;
    if (random.chance(0.06)) this.#flows[random.between(0, this.#flows.length - 1)] = randomFlow(random, this.#configuration);
    for (;;) {
      const draft = random.chance(this.#isChanged ? 0.55 : 0.13) ? this.#error() : this.#ofFlow();
      this.#isChanged = false;
      if (draft !== undefined) return packetStep(draft);
      this.#flows.push(randomFlow(random, this.#configuration));
    }
  }

  #ofFlow(): Draft | undefined {
    const random = this.#random;
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) return rest;
    const draft = this.#likely();
    if (draft === undefined) return undefined;
    this.#last = { ...draft, ip: { ...draft.ip } };
    if (random.chance(0.36)) spoil(random, draft, this.#configuration);
    if (random.chance(0.2)) this.#last = { ...draft, ip: { ...draft.ip } };
    this.#keepRest(draft);
    return draft;
  }

  /** What chance alone sends is mostly denied by some rule: often another is looked for, of another flow or the other way, that is not. */
  #likely(): Draft | undefined {
    const random = this.#random;
    for (let more = random.pick(MORE); ; more--) {
      const draft = draftOf(random, this.#configuration, random.pick(this.#flows), random.chance(0.4));
      if (draft === undefined || more === 0 || this.#course.allows(packetOf(draft))) return draft;
    }
  }

  /** Of a first fragment: what follows it, mostly; or what only looks like it. */
  #keepRest(first: Draft): void {
    const random = this.#random;
    if (first.ip.moreFragments !== true || (first.ip.fragmentOffset ?? 0) > 0 || first.override !== undefined || random.chance(0.2)) return;
    const ip = { ...first.ip, fragmentOffset: 8 * random.between(1, 50), moreFragments: random.chance(0.5) };
    const rest = { ...first, ip, payload: random.bytes(random.between(0, 40)), gsoSize: 0, note: `rest of ${first.note}` };
    this.#rest = random.chance(0.4) ? strangerOf(random, this.#configuration, rest) : rest;
  }

  /** An ICMP error about the last packet, from its receiver or from somebody on the way. */
  #error(): Draft | undefined {
    const random = this.#random;
    const about = this.#last;
    if (about === undefined) return undefined;
    const vni = about.origin.from === "tunnel" ? about.origin.key?.vni : this.#vniOf(about.origin.ifindex);
    const from = random.chance(0.5) ? about.ip.dst : random.pick(this.#configuration.mappings).address;
    const route = vni === undefined ? undefined : routeOf(random, this.#configuration, vni, from, about.ip.src);
    if (route === undefined) return undefined;
    const ip = { src: from, dst: about.ip.src, protocol: 1, dontFragment: random.chance(0.5), moreFragments: random.chance(0.15) };
    const { payload, note } = icmpError(random, about);
    const error: Draft = { ...route, ip, payload, gsoSize: 0, vlanTci: 0, note: `${note} from ${from}, about ${about.note}` };
    if (random.chance(0.12)) padWithEnd(random, error);
    else if (random.chance(0.06)) error.override = Buffer.concat([ipv4(ip, payload), random.bytes(random.between(1, 30))]);
    if (random.chance(0.1)) spoil(random, error, this.#configuration);
    this.#keepRest(error);
    return error;
  }

  #vniOf(ifindex: number): number | undefined {
    return this.#configuration.endpoints.find((e) => e.ifindex === ifindex)?.vni;
  }
}
