/** One way on from a decision. Lines and columns count from 1. */
export interface Branch {
  readonly line: number;
  readonly column: number;
  /** For a person: which way. */
  readonly what: string;
  readonly isCovered: boolean;
  /** The line that a reason for it must speak of. */
  readonly at: number;
}

/** What was measured in a file. */
export interface Measured {
  /** In the repository. */
  readonly file: string;
  readonly source: string;
  /** None where lines are not told. */
  readonly lines: { readonly covered: number; readonly total: number };
  readonly branches: readonly Branch[];
  /** Bodies of functions; empty where functions are not told apart. */
  readonly functions: readonly { readonly from: number; readonly to: number }[];
}
