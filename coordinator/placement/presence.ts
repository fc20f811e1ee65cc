import type { Kysely } from "kysely";
import type { Logger } from "#lib/log/log.ts";
import { writeLease, writePresence } from "./out/service-store.ts";

/** Words in a lease: a break of five of them is an outage. */
const WORDS = 15;

/**
 * Say in the database that this copy is there for hosts, until `stop`. Without anybody who says it no host counts as silent, and after
 * a break each has a whole lease to come back (C7). Resolves when it was said for the first time.
 */
export async function startPresence(options: {
  readonly db: Kysely<unknown>;
  readonly leaseMs: number;
  readonly log: Logger;
}): Promise<{ stop(): Promise<void> }> {
  const { db, leaseMs, log } = options;
  await writeLease(db, leaseMs);
  await writePresence(db);
  let saying: Promise<void> | undefined;
  const say = async (): Promise<void> => {
    try {
      await writePresence(db);
    } catch (error) {
      log.warn({ err: error }, "that this copy is there for hosts could not be written; hosts that nobody hears do not count as silent");
    }
  };
  const timer = setInterval(() => {
    saying ??= say().finally(() => (saying = undefined));
  }, leaseMs / WORDS);
  return {
    async stop() {
      clearInterval(timer);
      await saying;
    },
  };
}
