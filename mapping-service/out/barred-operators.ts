import type { Kysely } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import type { Logger } from "#lib/log/log.ts";
import { barredError } from "#lib/rpc/barred.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import { unavailable } from "#lib/rpc/errors.ts";
import type { CoordinatorFeed } from "./tables.ts";

/** The coordinator's hint that a principal is not what it was. */
const PRINCIPAL_SUBJECT = "plenum.int.principal";

interface Bars {
  readonly disabled: boolean;
  readonly notBefore: Date | null;
}

/**
 * Operators whose tokens count no more, as of the last look: at the start, after each hint of the coordinator, and every so often. All
 * of them, so that nobody is looked up by call; while the database is away the last word stands, and nobody can revoke anything.
 */
export class BarredOperators {
  readonly #db: Kysely<CoordinatorFeed>;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #subscription: { unsubscribe(): void };
  #bars: ReadonlyMap<string, Bars> | undefined;
  #running: Promise<void> | undefined;
  /** A hint came while a look was on its way: it may not have seen what the hint was about. */
  #again = false;

  constructor(options: { db: Kysely<CoordinatorFeed>; bus: Bus; log: Logger; everyMs: number }) {
    this.#db = options.db;
    this.#log = options.log;
    this.#timer = setInterval(() => void this.#look(), options.everyMs);
    this.#subscription = options.bus.subscribe(PRINCIPAL_SUBJECT, () => void this.#look());
    void this.#look();
  }

  /** Throws UNAUTHENTICATED for an operator whose token counts no more, UNAVAILABLE while nothing is known. Others are none of its business. */
  async check(caller: Caller): Promise<void> {
    if (caller.kind !== "operator") return;
    if (this.#bars === undefined) await this.#look();
    if (this.#bars === undefined) throw unavailable("whether your token still counts could not be read; repeat the call");
    const bars = this.#bars.get(caller.principalId);
    if (bars === undefined) return;
    if (bars.disabled) throw barredError("disabled", caller);
    const issuedAt = caller.token?.issuedAt ?? new Date(0);
    if (bars.notBefore !== null && issuedAt < bars.notBefore) throw barredError("revoked", caller);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
    this.#again = false;
    await this.#running;
  }

  #look(): Promise<void> {
    this.#again = this.#running !== undefined;
    this.#running ??= this.#read().finally(() => {
      this.#running = undefined;
      if (this.#again) void this.#look();
    });
    return this.#running;
  }

  async #read(): Promise<void> {
    try {
      const rows = await this.#db.selectFrom("coordinator_feed.barred_operator").selectAll().execute();
      this.#bars = new Map(rows.map((row) => [row.principal_id, { disabled: row.disabled, notBefore: row.tokens_not_before }]));
    } catch (error) {
      this.#log.warn({ err: error }, "cannot see which operators are barred; the last word stands");
    }
  }
}
