import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";

/** How one attachment stands with its host. */
export interface Standpoint {
  readonly wanted: number;
  /** The host's last word is about the newest generation. */
  readonly newest: boolean;
  readonly appliedState: number;
}

/**
 * The host has said that it goes by what was asked for last. Not so of what it is to let go of: until it has, its former rules may be
 * in force there (it keeps them to the end).
 */
export const goesByNewest = ({ wanted, newest, appliedState }: Standpoint): boolean =>
  wanted === Wanted.PRESENT && newest && appliedState === AppliedState.PRESENT;
