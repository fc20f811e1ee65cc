import type { Kysely } from "kysely";
import { trimChanges } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import type { Calls } from "./call/api.ts";
import { foldEpochs } from "./fold-epochs.ts";
import { forgetOldAttachments } from "./interface/api.ts";
import { forgetOldInstances, forgetOldTokens } from "./placement/api.ts";
import { forgetOld } from "./retention.ts";

/** Between removals of what is kept for long, or as long as something names it. */
const LONG_MS = 3_600_000;

/** Removes what is only kept for a while, now and then. Any number of copies may do it. */
export function startSweeper(options: {
  readonly calls: Calls;
  readonly db: Kysely<unknown>;
  readonly everyMs: number;
  readonly keepChangesSeconds: number;
  readonly log: Logger;
}): { stop(): Promise<void> } {
  const { calls, db, log } = options;
  let running: Promise<void> | undefined;
  let longDue = 0;
  const sweep = async (): Promise<void> => {
    try {
      await calls.sweep();
      await trimChanges(db, options.keepChangesSeconds);
      await calls.internal(async ({ tx }) => {
        await forgetOldAttachments(tx);
        await forgetOldInstances(tx);
        await forgetOldTokens(tx);
      });
      if (performance.now() < longDue) return;
      await forgetOld(db);
      await foldEpochs(db);
      longDue = performance.now() + LONG_MS;
    } catch (error) {
      log.warn({ err: error }, "old rows could not be removed; trying again");
    }
  };
  const timer = setInterval(() => {
    running ??= sweep().finally(() => (running = undefined));
  }, options.everyMs);
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
