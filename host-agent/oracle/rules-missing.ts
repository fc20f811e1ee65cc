import type { Configuration } from "#lib/model/index.ts";
import { draftOf, packetOf } from "./draft.ts";
import { localEndpoint, randomFlow } from "./flow.ts";
import { openRuleset, withRuleset } from "./plot.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";

/** A connection, packets of it while the rules that its ends here have by then are missing, and one when they are there. */
export function rulesMissing(random: Random, configuration: Configuration): Step[] {
  const flow = randomFlow(random, configuration);
  const ends = flow.ends.flatMap(({ address }) => localEndpoint(configuration, flow.vni, address) ?? []);
  const packet = (isAnswer: boolean): Step[] => {
    const draft = draftOf(random, configuration, flow, isAnswer);
    return draft === undefined ? [] : [{ what: "packet", packet: packetOf(draft), note: draft.note }];
  };
  const open = withRuleset(configuration, ends, openRuleset(random));
  const others = withRuleset(open, ends, openRuleset(random));
  return [
    { what: "configuration", configuration: open, note: "all may pass" },
    ...packet(false),
    { what: "configuration", configuration: { ...others, rulesets: open.rulesets }, note: "other rules, which are missing" },
    ...packet(random.chance(0.5)),
    ...packet(random.chance(0.5)),
    { what: "configuration", configuration: others, note: "they are there" },
    ...packet(random.chance(0.5)),
  ];
}
