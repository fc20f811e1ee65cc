import type { Kysely } from "kysely";
import { isDatabaseUnavailable } from "#lib/db/errors.ts";
import type { Logger } from "#lib/log/log.ts";
import type { Calls } from "./call/api.ts";
import type { Operations } from "./identity/api.ts";
import { FORCED_KEY, forcedAttachments, networkScope } from "./interface/api.ts";
import type { Signals } from "./interface/api.ts";
import { forcedInstances, settleForcedInstance } from "./placement/api.ts";

/** Backstop where a wake-up was lost, and for leases that end, which nobody announces. */
const PENDING_MS = 250;
const IDLE_MS = 5_000;

/**
 * Ends what is forced off hosts that are silent (C7) as soon as nobody is awaited, whether or not the caller still waits. Wakes with
 * what hosts acknowledge. Any number of copies may do it.
 */
export function startForcing(options: {
  readonly calls: Calls;
  readonly db: Kysely<unknown>;
  readonly operations: Operations;
  readonly signals: Signals;
  readonly log: Logger;
}): { stop(): Promise<void> } {
  const { calls, db, operations, signals, log } = options;
  const end = new AbortController();

  /** One look. Answers how long to wait for the next at most. */
  async function look(watch: (keys: readonly string[]) => void): Promise<number> {
    const attachments = await forcedAttachments(db);
    watch(attachments.map((one) => networkScope(one.network_id)));
    const instances = new Set([...attachments.map((one) => one.instance_id), ...(await forcedInstances(db))]);
    for (const instanceId of instances) {
      try {
        const { result: off } = await calls.internal((call) => settleForcedInstance(call, operations, instanceId));
        if (off.length > 0) signals.announce(off);
      } catch (error) {
        if (isDatabaseUnavailable(error)) throw error;
        log.warn({ err: error, instanceId }, "what is forced of an instance could not be ended; trying again");
      }
    }
    return instances.size > 0 ? PENDING_MS : IDLE_MS;
  }

  async function run(): Promise<void> {
    while (!end.signal.aborted) {
      // Watched before it is read, so that nothing said in between is missed.
      const watch = signals.watch([FORCED_KEY]);
      let wait = PENDING_MS;
      try {
        wait = await look((keys) => watch.add(keys));
      } catch (error) {
        log.warn({ err: error }, "what is forced could not be ended; trying again");
      }
      await watch.wake.wait(wait, end.signal);
      watch.close();
    }
  }

  const running = run();
  return {
    async stop() {
      end.abort();
      await running;
    },
  };
}
