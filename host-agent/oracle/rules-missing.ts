import type { Configuration } from "#lib/model/index.ts";
import { withRuleset } from "./change.ts";
import { draftOf, packetStep } from "./draft.ts";
import { endpointsHere, randomFlow } from "./flow.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { openRuleset } from "./world.ts";

/** A connection, packets of it while the rules that its ends here have by then are missing, and one when they are there. */
export function rulesMissing(random: Random, configuration: Configuration): Step[] {
  const flow = randomFlow(random, configuration);
  const ends = endpointsHere(configuration, flow);
  const packet = (isAnswer: boolean): Step[] => {
    const draft = draftOf(random, configuration, flow, isAnswer);
    return draft === undefined ? [] : [packetStep(draft)];
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
