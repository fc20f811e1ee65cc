import { certificateEnded, CLOCK_TOLERANCE_S, tokenRefused } from "./caller.ts";
import type { Caller } from "./caller.ts";

/** Until when a stream's caller may go on. */
export interface CredentialLife {
  /** Aborts when the caller's token, or its certificate, ends; never for who came without one. */
  readonly over: AbortSignal;
  /** What the stream ends with then: as a new call is refused. */
  refusal(): Error;
  /** Nobody asks any more. */
  close(): void;
}

/** A timer takes no longer time than this; then it is set again. */
const LONGEST_MS = 2 ** 31 - 1;

/** When a new call with the same would be refused, milliseconds since 1970. */
function endOf({ token, certificateEnd }: Caller): number | undefined {
  return token === undefined ? certificateEnd?.getTime() : token.expiresAt.getTime() + CLOCK_TOLERANCE_S * 1_000;
}

export function credentialLife(caller: Caller): CredentialLife {
  const ended = new AbortController();
  const end = endOf(caller);
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    if (end === undefined) return;
    const left = end - Date.now();
    if (left <= 0) ended.abort();
    else timer = setTimeout(arm, Math.min(left, LONGEST_MS));
  };
  arm();
  return {
    over: ended.signal,
    refusal: () => (caller.token === undefined ? certificateEnded() : tokenRefused()),
    close: () => clearTimeout(timer),
  };
}
