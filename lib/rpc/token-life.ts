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

export function tokenLife({ expiresAt }: Caller): TokenLife {
  const ended = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    if (expiresAt === undefined) return;
    const left = expiresAt.getTime() - Date.now();
    if (left <= 0) ended.abort();
    else timer = setTimeout(arm, Math.min(left, LONGEST_MS));
  };
  arm();
  return { over: ended.signal, close: () => clearTimeout(timer) };
}
