import type { Configuration, Packet } from "#lib/model/index.ts";

/** One host's story: a configuration and what happens after. Data only, so that it can be printed, cut down and told again. */
export interface Scenario {
  readonly seed: number;
  readonly start: Configuration;
  readonly steps: readonly Step[];
}

export type Step =
  | { readonly what: "packet"; readonly packet: Packet; /** What it was made to be, for the reader. */ readonly note: string }
  | { readonly what: "configuration"; readonly configuration: Configuration; readonly note: string }
  | { readonly what: "time"; readonly milliseconds: number };
