import type { Configuration } from "#lib/model/index.ts";
import { draftOf, packetStep } from "./draft.ts";
import { endpointsHere, randomFlow } from "./flow.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { spoil } from "./spoil.ts";

/** A connection, packets of it and like it while interfaces are switched off (N14), mostly wrong in another way too, and one after that. */
export function switchedOff(random: Random, configuration: Configuration): Step[] {
  const flow = randomFlow(random, configuration);
  const ends = endpointsHere(configuration, flow);
  const off = random.chance(0.5) ? configuration.endpoints : random.chance(0.5) ? ends : ends.slice(0, 1);
  const packet = (isAnswer: boolean, isSpoilt: boolean): Step[] => {
    const draft = draftOf(random, configuration, flow, isAnswer);
    if (draft === undefined) return [];
    if (isSpoilt) spoil(random, draft, configuration);
    return [packetStep(draft)];
  };
  const endpoints = configuration.endpoints.map((endpoint) => ({ ...endpoint, disabled: off.includes(endpoint) }));
  return [
    { what: "configuration", configuration, note: "all switched on" },
    ...packet(false, false),
    { what: "configuration", configuration: { ...configuration, endpoints }, note: "some switched off" },
    ...random.list(3, 5, () => packet(random.chance(0.5), random.chance(0.8))).flat(),
    { what: "configuration", configuration, note: "all switched on" },
    ...packet(random.chance(0.5), false),
  ];
}
