import type { Kysely } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import type { Logger } from "#lib/log/log.ts";
import { hostBarred } from "#lib/rpc/barred.ts";
import { BAR_SUBJECT, barredAmong } from "../../placement/api.ts";
import type { Sessions } from "./sessions.ts";

/** Between looks at all sessions, for hints that were lost and hosts that say nothing more. */
const LOOK_MS = 2_000;

/**
 * Ends the sessions of hosts that are barred: at the hint, or at the next look. What such a host says meanwhile is refused already, by the
 * number of its session.
 */
export function watchBars(options: {
  readonly sessions: Sessions;
  readonly db: Kysely<unknown>;
  readonly bus: Bus;
  readonly log: Logger;
}): {
  stop(): Promise<void>;
} {
  const { sessions, db, bus, log } = options;
  let running: Promise<void> = Promise.resolve();
  let waiting = 0;

  async function look(hostIds: readonly string[]): Promise<void> {
    if (hostIds.length === 0) return;
    try {
      for (const hostId of await barredAmong(db, hostIds)) sessions.endAll(hostId, hostBarred(hostId));
    } catch (error) {
      log.warn({ err: error }, "cannot see which hosts are barred; looking again");
    }
  }
  const begin = (hostIds: () => readonly string[]): void => {
    waiting += 1;
    running = running.then(() => look(hostIds())).finally(() => (waiting -= 1));
  };
  const timer = setInterval(() => {
    if (waiting === 0) begin(() => sessions.hosts());
  }, LOOK_MS);
  const subscription = bus.subscribe(BAR_SUBJECT, ({ data }) => {
    const hostId = Buffer.from(data).toString("utf8");
    begin(() => (sessions.hosts().includes(hostId) ? [hostId] : []));
  });
  return {
    async stop() {
      clearInterval(timer);
      subscription.unsubscribe();
      await running;
    },
  };
}
