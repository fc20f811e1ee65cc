import { CLOCK_TOLERANCE_S } from "./caller.ts";
import type { Caller } from "./caller.ts";

/** Until when a stream's caller may go on. */
export interface TokenLife {
  /** Aborts when the caller's token ends; never for who came without one. */
  readonly over: AbortSignal;
  /** Nobody asks any more. */
  close(): void;
}

/** A timer takes no longer time than this; then it is set again. */
const LONGEST_MS = 2 ** 31 - 1;

export function tokenLife({ token }: Caller): TokenLife {
  const ended = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    if (token === undefined) return;
    const left = token.expiresAt.getTime() + CLOCK_TOLERANCE_S * 1_000 - Date.now(); // when a new call with it would be refused
    if (left <= 0) ended.abort();
    else timer = setTimeout(arm, Math.min(left, LONGEST_MS));
  };
  arm();
  return { over: ended.signal, close: () => clearTimeout(timer) };
}
