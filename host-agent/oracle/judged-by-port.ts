import type { Configuration } from "#lib/model/index.ts";
import { draftOf, packetOf, type Draft } from "./draft.ts";
import { localEndpoint, randomFlow } from "./flow.ts";
import { openRuleset, withRuleset } from "./plot.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { PROTOCOLS, servicesRuleset } from "./world.ts";

/** A first fragment, the end of its connection, and the rest: which is judged anew, by the port that only the first one named. */
export function judgedByPort(random: Random, configuration: Configuration): Step[] {
  const flow = { ...randomFlow(random, configuration), protocol: random.pick([PROTOCOLS.tcp, PROTOCOLS.udp]) };
  const ends = flow.ends.flatMap(({ address }) => localEndpoint(configuration, flow.vni, address) ?? []);
  const open = withRuleset(configuration, ends, openRuleset(random));
  const whole = draftOf(random, open, flow, false);
  if (whole === undefined) return [];
  const packet = (ip: Partial<Draft["ip"]>, note: string): Step => {
    const draft = { ...whole, ip: { ...whole.ip, identification: 1, ...ip } };
    return { what: "packet", packet: packetOf(draft), note: `${note} of ${whole.note}` };
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
