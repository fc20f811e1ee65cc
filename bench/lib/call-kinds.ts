/** What a side is asked for: so many calls, one after the other, or `at once`. */
export interface Asked {
  readonly kind: CallKind;
  readonly count: number;
  readonly atOnce: number;
}

export const KINDS = ["committed", "programmed", "detached", "created"] as const;
export type CallKind = (typeof KINDS)[number];

/** What it saw. */
export interface Sample {
  /** Statements that the coordinator sent while these calls ran, BEGIN and COMMIT counted, a call. */
  readonly statements: number;
  /** Processor time of coordinator, hosts and database, milliseconds a call with what was done before and after it. */
  readonly cpuMs: number;
  /** Of each call, milliseconds. */
  readonly wallMs: readonly number[];
  /** Of all of them together, milliseconds. */
  readonly allMs: number;
  /** Of the last call: what was sent, from when to when (milliseconds after its beginning), by which connection. */
  readonly trace: readonly Statement[];
}

export interface Statement {
  readonly connection: number;
  readonly from: number;
  readonly to: number;
  readonly text: string;
}
