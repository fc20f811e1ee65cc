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

/** What is to be swept, by its name. */
type Steps = Readonly<Record<string, () => Promise<unknown>>>;

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
  let running: Promise<void> | undefined;
  let longDue = 0;
  const short: Steps = {
    idempotency: () => calls.sweep(),
    change: () => trimChanges(db, options.keepChangesSeconds),
    attachment: () => forgetOldAttachments(db),
    instance: () => forgetOldInstances(db),
    join_token: () => forgetOldTokens(db),
  };
  const long: Steps = { group_set: () => network.forgetGroupSets(), ...forgettingOld(db), epochs: () => foldEpochs(db) };

  /** Each by itself: what cannot be swept keeps no other from it. Whether all could. */
  async function take(steps: Steps): Promise<boolean> {
    let all = true;
    for (const [what, step] of Object.entries(steps)) {
      try {
        await step();
      } catch (error) {
        all = false;
        log.warn({ err: error, what }, "old rows could not be removed; trying again");
        if (isDatabaseUnavailable(error)) break;
      }
    }
    return all;
  }

  const sweep = async (): Promise<void> => {
    await take(short);
    if (performance.now() >= longDue && (await take(long))) longDue = performance.now() + LONG_MS;
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
