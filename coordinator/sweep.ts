import type { Kysely } from "kysely";
import { isDatabaseUnavailable } from "#lib/db/errors.ts";
import { trimChanges } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import type { Calls } from "./call/api.ts";
import { foldEpochs } from "./fold-epochs.ts";
import { forgetOldAttachments } from "./interface/api.ts";
import type { NetworkModule } from "./network/api.ts";
import { forgetOldInstances, forgetOldTokens } from "./placement/api.ts";
import { forgettingOld } from "./retention.ts";

/** Between removals of what is kept for long, or as long as something names it. */
const LONG_MS = 3_600_000;

/** One of the things that are swept. */
interface Step {
  readonly what: string;
  /** Ends between two batches once the signal is aborted. */
  readonly run: (signal: AbortSignal) => Promise<unknown>;
  /** Milliseconds from its end until it is due again, at least. */
  readonly everyMs: number;
  /** Milliseconds, monotonic. */
  due: number;
}

const stepsOf = (runs: Readonly<Record<string, Step["run"]>>, everyMs: number): Step[] =>
  Object.entries(runs).map(([what, run]) => ({ what, run, everyMs, due: 0 }));

/** Removes what is only kept for a while, now and then. Any number of copies may do it. */
export function startSweeper(options: {
  readonly calls: Calls;
  readonly db: Kysely<unknown>;
  readonly network: Pick<NetworkModule, "forgetGroupSets">;
  readonly everyMs: number;
  readonly keepChangesSeconds: number;
  readonly log: Logger;
}): { stop(): Promise<void> } {
  const { calls, db, network, log } = options;
  const end = new AbortController();
  let running: Promise<void> | undefined;
  const short = {
    idempotency: (signal: AbortSignal) => calls.sweep(signal),
    change: (signal: AbortSignal) => trimChanges(db, options.keepChangesSeconds, { signal }),
    attachment: (signal: AbortSignal) => forgetOldAttachments(db, signal),
    instance: (signal: AbortSignal) => forgetOldInstances(db, signal),
    join_token: (signal: AbortSignal) => forgetOldTokens(db, signal),
  };
  const long = {
    group_set: (signal: AbortSignal) => network.forgetGroupSets(signal),
    ...forgettingOld(db),
    epochs: (signal: AbortSignal) => foldEpochs(db, signal),
  };
  const steps = [...stepsOf(short, 0), ...stepsOf(long, LONG_MS)];

  /** Each by itself: what cannot be swept keeps no other from it, and is due still. */
  async function sweep(): Promise<void> {
    for (const step of steps.filter(({ due }) => performance.now() >= due)) {
      try {
        await step.run(end.signal);
        step.due = performance.now() + step.everyMs;
      } catch (error) {
        if (end.signal.aborted) return;
        log.warn({ err: error, what: step.what }, "old rows could not be removed; trying again");
        if (isDatabaseUnavailable(error)) return;
      }
    }
  }

  const timer = setInterval(() => {
    running ??= sweep().finally(() => (running = undefined));
  }, options.everyMs);
  return {
    async stop() {
      clearInterval(timer);
      end.abort();
      await running;
    },
  };
}
