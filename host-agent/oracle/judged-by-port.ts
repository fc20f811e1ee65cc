import type { Configuration } from "#lib/model/index.ts";
import { withRuleset } from "./change.ts";
import { draftOf, packetStep, type Draft } from "./draft.ts";
import { endpointsHere, randomFlow } from "./flow.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { openRuleset, PROTOCOLS, servicesRuleset } from "./world.ts";

/** A first fragment, the end of its connection, and the rest: which is judged anew, by the port that only the first one named. */
export function judgedByPort(random: Random, configuration: Configuration): Step[] {
  const flow = { ...randomFlow(random, configuration), protocol: random.pick([PROTOCOLS.tcp, PROTOCOLS.udp]) };
  const ends = endpointsHere(configuration, flow);
  const open = withRuleset(configuration, ends, openRuleset(random));
  const whole = draftOf(random, open, flow, false);
  if (whole === undefined) return [];
  const packet = (ip: Partial<Draft["ip"]>, note: string): Step => {
    return packetStep({ ...whole, ip: { ...whole.ip, identification: 1, ...ip }, note: `${note} of ${whole.note}` });
  };
  return [
    { what: "configuration", configuration: open, note: "all may pass" },
    packet({ moreFragments: true }, "first fragment"),
    { what: "configuration", configuration: withRuleset(open, ends, { id: random.between(1, 0xffffffff), rules: [] }), note: "none may" },
    packet({}, "another"),
    { what: "configuration", configuration: withRuleset(open, ends, servicesRuleset(random)), note: "services only" },
    packet({ fragmentOffset: 64 }, "rest"),
  ];
}
