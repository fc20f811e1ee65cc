import { setTimeout as delay } from "node:timers/promises";
import { spreadBackoffMs, type Backoff } from "#lib/retry/backoff.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { Logger } from "#lib/log/log.ts";

export interface ReconnectOptions extends Backoff {
  /** For the log. */
  name: string;
  log: Logger;
  /** Ends it for good. */
  signal: AbortSignal;
  /** 0 to 1; a test takes chance away. */
  random?: () => number;
}

/**
 * Opens a stream again and again. `once` ends, well or badly, when its stream is over; `good()` tells that the stream was of use, after
 * which the next failure is the first again, if it went on for `maxMs`: one that breaks by what it is sent would otherwise be opened, and
 * sent a snapshot, at full speed for ever. Waits are random within the upper half, so that hosts do not come back in step.
 */
export async function reconnect(options: ReconnectOptions, once: (signal: AbortSignal, good: () => void) => Promise<void>): Promise<void> {
  const { name, log, signal, random = Math.random } = options;
  let failures = 0;
  while (!signal.aborted) {
    const stream = new AbortController();
    const began = performance.now();
    let wasGood = false;
    try {
      await once(AbortSignal.any([signal, stream.signal]), () => {
        wasGood = true;
      });
      log.info(`${name}: the other side ended the stream`);
    } catch (error) {
      if (signal.aborted) break;
      const failure = callFailure(error);
      if (failure === undefined) log.error({ err: error }, `${name}: the stream broke`);
      else log.warn({ code: failure.status, reason: failure.reason }, `${name}: ${failure.message}`);
    } finally {
      stream.abort();
    }
    if (wasGood && performance.now() - began >= options.maxMs) failures = 0;
    failures += 1;
    await delay(spreadBackoffMs(options, failures, random()), undefined, { signal, ref: true }).catch(() => {}); // aborted: the loop's condition ends it
  }
}
