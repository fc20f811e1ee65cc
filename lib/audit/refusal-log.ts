import { sql } from "kysely";
import type { Kysely } from "kysely";
import { isDatabaseUnavailable, isOutOfTime, isUnwritable } from "../db/errors.ts";
import type { Logger } from "../log/log.ts";
import { RefusalTally } from "./refusal-tally.ts";
import type { Refusal, RefusalRow } from "./refusal-tally.ts";

/** Entries that one process makes a minute at most: a day of a flood from everywhere is 288,000 rows. */
const MOST_A_MINUTE = 200;
const EVERY_MS = 1_000;

/** Takes refusals from the door and writes them down behind it. */
export interface RefusalLog {
  /** Never throws, never waits. */
  note(refusal: Refusal): void;
  /** Writes what is left, once. */
  stop(): Promise<void>;
}

export interface RefusalLogOptions {
  /** Repeats with a higher count of what it was given before must be one row. */
  readonly write: (rows: readonly RefusalRow[]) => Promise<void>;
  /** Told of refusals that are not written: for want of room, or because the database does not take their row. */
  readonly dropped: (count: number) => void;
  readonly log: Logger;
  /** Milliseconds between writes; default 1,000. */
  readonly everyMs?: number;
  /** Default 200. */
  readonly mostAMinute?: number;
}

/** It is the database that does not answer: no row is better or worse than another. */
const isAway = (error: unknown): boolean => isDatabaseUnavailable(error) || isOutOfTime(error);

/**
 * One batch a second at most, in the background. While it cannot write, what has no room is lost and counted. Where a batch fails for another
 * reason than an outage its rows go one by one, so that none holds up the others; one that the database can never take is lost and counted.
 */
export function startRefusalLog({ write, dropped, log, everyMs = EVERY_MS, mostAMinute = MOST_A_MINUTE }: RefusalLogOptions): RefusalLog {
  const tally = new RefusalTally(mostAMinute);
  let running: Promise<void> | undefined;
  /** Answers those that are to be tried again. */
  const singly = async (rows: readonly RefusalRow[]): Promise<RefusalRow[]> => {
    const again: RefusalRow[] = [];
    for (const [index, row] of rows.entries()) {
      try {
        await write([row]);
      } catch (error) {
        if (isAway(error)) return [...again, ...rows.slice(index)];
        if (isUnwritable(error)) {
          const count = tally.forget(row);
          log.warn(
            { err: error, entry: row.entryId, method: row.method, reason: row.reason, count },
            "refused calls are in no entry of the audit",
          );
          dropped(count);
        } else again.push(row);
      }
    }
    return again;
  };
  const flush = async (): Promise<void> => {
    const rows = tally.take();
    if (rows.length === 0) return;
    try {
      await write(rows);
    } catch (error) {
      log.warn({ err: error, rows: rows.length }, "refused calls could not be written to the audit; trying again");
      const lost = tally.failed(isAway(error) ? rows : await singly(rows));
      if (lost > 0) dropped(lost);
    }
  };
  const timer = setInterval(() => {
    running ??= flush().finally(() => (running = undefined));
  }, everyMs);
  return {
    note(refusal) {
      if (!tally.note(refusal, Date.now())) dropped(1);
    },
    async stop() {
      clearInterval(timer);
      await running;
      await flush();
    },
  };
}

/**
 * Write refusals by the function that the coordinator shows next to its views (`coordinator_feed.note_refusals`): it takes nothing but
 * refusals, so that a service without any right to the audit's table can add to it and change nothing in it.
 */
export async function writeRefusals<Tables>(db: Kysely<Tables>, rows: readonly RefusalRow[]): Promise<void> {
  const values = rows.map((row) => ({
    entry_id: row.entryId,
    principal_id: row.principalId,
    account_id: row.accountId,
    via_instance: row.viaInstanceId,
    via_host: row.viaHostId,
    action: row.action,
    method: row.method,
    peer: row.peer,
    reason: row.reason,
    count: row.count,
  }));
  await sql`SELECT coordinator_feed.note_refusals(${JSON.stringify(values)}::jsonb)`.execute(db);
}
