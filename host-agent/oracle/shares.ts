import type { Configuration, Endpoint } from "#lib/model/index.ts";
import { Random } from "./random.ts";

/** More connections than a story begins. */
const PLENTY = 256;

/** What of a host's connections is each interface's own, and how many there are for who wants more. */
export interface Shares {
  readonly endpoints: readonly Endpoint[];
  readonly connectionCommon: number;
}

/** By chances of their own: stories in which there is enough for all are those that would be told without shares. */
export function withShares(endpoints: readonly Endpoint[], seed: number): Shares {
  const random = new Random(seed);
  const isScarce = random.chance(0.14);
  const own = isScarce ? [0, 1, 1, 2] : [0, 1, 3, PLENTY, PLENTY];
  return {
    endpoints: endpoints.map((endpoint) => ({ ...endpoint, connectionShare: random.pick(own) })),
    connectionCommon: isScarce ? random.between(0, 5) : PLENTY,
  };
}

/** Where it was scarce: then interfaces may hold more of it than there is, as after an upgrade that brought more than was to be had here. */
export function withLessInCommon(configuration: Configuration): Configuration {
  return configuration.connectionCommon < PLENTY ? { ...configuration, connectionCommon: 0 } : configuration;
}
