import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import { snapshot, transaction } from "#lib/db/transaction.ts";
import { appendChanges, publishHints } from "#lib/feed/feed.ts";
import type { AppendedChange } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import { PlenumError, unauthenticated } from "#lib/rpc/errors.ts";
import { requestId as checkRequestId } from "#lib/rpc/validate.ts";
import type { CallContext, Calls, ReadCall, Sight, Tx, WriteCall, WriteOptions, Written } from "../api.ts";
import type { ResourceGrant, ResourceRef } from "../core/decide.ts";
import { fingerprint } from "../core/fingerprint.ts";
import { NO_ORIGIN, originOf } from "../core/origin.ts";
import { COORDINATOR, mayChangeStandings, standingSubject, subjectOf } from "../core/subject.ts";
import type { Hold, Standing, Subject } from "../core/subject.ts";
import { insertAudit, writeAudit } from "./audit.ts";
import type { AuditRecord } from "./audit.ts";
import { claim, idempotencyKey, keeping } from "./idempotency.ts";
import type { AllowedAction, IdempotencyKey } from "./idempotency.ts";
import { CallerSight, Refusals, WriteScope } from "./write-scope.ts";

/** Grants that others hold on resources now, by resource id. */
export type GrantSource = (tx: Tx, resourceIds: readonly string[]) => Promise<ReadonlyMap<string, readonly ResourceGrant[]>>;

/** `own`: those that the call has locked itself, for a change. */
export type HoldConsents = (tx: Tx, consentIds: readonly string[], own: readonly string[]) => Promise<ReadonlySet<string>>;

/**
 * A scalar subquery: a {@link Standing}, or NULL where no row names the principal. `hold`: the rows that it reads stay as they are until
 * the transaction's end, so that no write commits after the revocation of what it rests on (C15).
 */
export type StandingQuery = (subject: Subject, hold: Hold) => RawBuilder<Standing | null>;

export interface CallsOptions {
  readonly db: Kysely<unknown>;
  /** Takes the hints of what was committed. */
  readonly bus: Bus;
  /** Needed to decide a grantee's repeat again (consent's `grantsFor`). */
  readonly grants: GrantSource;
  /** Those of the consents that are in force, locked until the transaction's end (consent's `holdConsents`). */
  readonly hold: HoldConsents;
  /** What the caller's principal may be (identity's `principalStanding`). */
  readonly standing: StandingQuery;
  readonly log: Logger;
}

interface Keyed<Res> {
  readonly key: IdempotencyKey;
  readonly hash: Uint8Array;
  readonly encode: (result: Res) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Res;
}

function keyedBy<Res>(context: CallContext, subject: Subject, options: WriteOptions<Res>): Keyed<Res> | undefined {
  const { requestId, request, encode, decode } = options;
  if (requestId === undefined || requestId === "") return undefined;
  checkRequestId(requestId);
  if (request === undefined || encode === undefined || decode === undefined) {
    throw new Error(`${context.method}: a request_id needs the request and a codec of its result`);
  }
  return { key: idempotencyKey(subject, context.method, requestId), hash: fingerprint(request), encode, decode };
}

interface Start {
  readonly now: Date;
  readonly standing: Standing | null;
}

/** The database's clock, and what may be said of the caller now: what was taken back a moment ago counts no more. */
async function startOf(tx: Tx, standing: RawBuilder<Standing | null>): Promise<Start> {
  const { rows } = await sql<Start>`SELECT now() AS now, (${standing}) AS standing`.execute(tx);
  const [start] = rows;
  if (start === undefined) throw new Error("the database has no clock");
  return start;
}

interface Outcome<Res> {
  readonly result: Res;
  readonly changes: readonly AppendedChange[];
  readonly committed: readonly ((versions: ReadonlyMap<string, bigint>) => void)[];
  readonly repeated: boolean;
}

class DatabaseCalls implements Calls {
  readonly #options: CallsOptions;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  async write<Res>(context: CallContext, options: WriteOptions<Res>, fn: (call: WriteCall) => Promise<Res>): Promise<Written<Res>> {
    const subject = known(subjectOf(context.caller));
    const keyed = keyedBy(context, subject, options);
    const refusals = new Refusals(originOf(context, options.requestId));
    try {
      const outcome = await transaction(this.#options.db, async (tx) => {
        const stored = keyed === undefined ? undefined : await claim(tx, keyed.key, keyed.hash);
        const start = { action: options.action, refusals };
        const scope = await this.#open(tx, subject, {
          ...start,
          hold: await this.#holdFor(tx, subject, { ...start, closes: options.closes }),
        });
        if (keyed !== undefined && stored !== undefined) {
          await this.#decideAgain(tx, scope, stored.allowed);
          return { result: keyed.decode(stored.response), changes: [], committed: [], repeated: true };
        }
        const result = await fn(scope);
        await this.#hold(tx, scope);
        const records = scope.auditRecords();
        const beside = records.length === 0 ? [] : [sql`audited AS (${insertAudit(records)})`];
        if (keyed !== undefined) {
          const answer = { response: keyed.encode(result), allowed: scope.allowed() };
          beside.push(sql`kept AS (${keeping(keyed.key, answer)})`);
        }
        return this.#finish(tx, scope, result, beside);
      });
      return this.#afterCommit(outcome);
    } catch (error) {
      await this.#writeRefusal(refusals.recordOf(error, subject, options.action), error);
      throw error;
    }
  }

  async read<Res>(context: CallContext, action: string, fn: (call: ReadCall) => Promise<Res>): Promise<Res> {
    const subject = known(subjectOf(context.caller));
    const refusals = new Refusals(originOf(context));
    try {
      return await snapshot(this.#options.db, async (tx) => {
        return fn(await this.#open(tx, subject, { action, refusals, hold: "none" }));
      });
    } catch (error) {
      await this.#writeRefusal(refusals.recordOf(error, subject, action), error);
      throw error;
    }
  }

  async readAtOnce<Row, Res>(
    context: CallContext,
    action: string,
    query: RawBuilder<Row>,
    fn: (sight: Sight, rows: Row[]) => Res,
  ): Promise<Res> {
    const { db, standing } = this.#options;
    const caller = known(subjectOf(context.caller));
    const refusals = new Refusals(originOf(context));
    try {
      const { rows } = await sql<Row & { caller_standing: Standing | null }>`
        SELECT * FROM (SELECT (${standing(caller, "none")}) AS caller_standing) AS caller LEFT JOIN (${query}) AS found ON true`.execute(
        db,
      );
      const subject = admitted(caller, rows[0]?.caller_standing ?? null, { action, refusals });
      return fn(new CallerSight({ subject, action, refusals }), rows);
    } catch (error) {
      await this.#writeRefusal(refusals.recordOf(error, caller, action), error);
      throw error;
    }
  }

  async internal<Res>(fn: (call: WriteCall) => Promise<Res>, behalf?: Subject): Promise<Written<Res>> {
    const outcome = await transaction(this.#options.db, async (tx) => {
      const now = behalf === undefined ? undefined : (await startOf(tx, sql<null>`NULL`)).now;
      const scope = new WriteScope({ tx, subject: behalf ?? COORDINATOR, now, action: "internal", refusals: new Refusals(NO_ORIGIN) });
      return this.#finish(tx, scope, await fn(scope));
    });
    return this.#afterCommit(outcome);
  }

  async byHost<Res>(
    context: CallContext,
    { action, rule }: { readonly action: string; readonly rule: string },
    fn: (call: WriteCall) => Promise<Res>,
  ): Promise<Written<Res>> {
    const subject = subjectOf(context.caller);
    const outcome = await transaction(this.#options.db, async (tx) => {
      const { now } = await startOf(tx, sql<null>`NULL`);
      const scope = new WriteScope({ tx, subject, now, action, refusals: new Refusals(originOf(context)) });
      const result = await fn(scope);
      await writeAudit(tx, scope.auditRecords(rule));
      return this.#finish(tx, scope, result);
    });
    return this.#afterCommit(outcome);
  }

  async sweep(signal?: AbortSignal): Promise<void> {
    await deleteInBatches(this.#options.db, "idempotency", sql`create_time < now() - interval '24 hours'`, { signal });
  }

  /**
   * Who changes standings in its own account needs its gate alone, and two that had it shared first would wait for each other. So it is
   * closed at once; by nobody who would be refused all the same.
   */
  async #holdFor(
    tx: Tx,
    caller: Subject,
    { closes, ...start }: { action: string; refusals: Refusals; closes: string | undefined },
  ): Promise<Hold> {
    if (closes === undefined || closes !== (caller.accountId ?? "") || !mayChangeStandings(caller)) return "shared";
    const { standing } = await startOf(tx, this.#options.standing(caller, "none"));
    return mayChangeStandings(admitted(caller, standing, start)) ? "alone" : "shared";
  }

  async #open(tx: Tx, caller: Subject, start: { action: string; refusals: Refusals; hold: Hold }): Promise<WriteScope> {
    const { action, refusals, hold } = start;
    const { now, standing } = await startOf(tx, this.#options.standing(caller, hold));
    return new WriteScope({ tx, subject: admitted(caller, standing, { action, refusals }), now, action, refusals });
  }

  /** C14: what rests on consents is decided a last time with those that nobody can take back before the commit. */
  async #hold(tx: Tx, scope: WriteScope): Promise<void> {
    const { others, own } = scope.consents();
    if (others.length + own.length === 0) return;
    const held = await this.#options.hold(tx, others, own);
    if (held.size < others.length + own.length) scope.requireAgain(held);
  }

  /** The last statement: from here to the commit the scopes' rows are locked (C1). */
  async #finish<Res>(tx: Tx, scope: WriteScope, result: Res, beside: readonly RawBuilder<unknown>[] = []): Promise<Outcome<Res>> {
    const changes = await appendChanges(tx, scope.changes(), beside);
    return { result, changes, committed: scope.committed(), repeated: false };
  }

  #afterCommit<Res>(outcome: Outcome<Res>): Written<Res> {
    const { result, changes, committed, repeated } = outcome;
    publishHints(this.#options.bus, changes);
    const versions = new Map(changes.map(({ scope, version }) => [scope, version]));
    for (const fn of committed) {
      try {
        fn(versions);
      } catch (error) {
        // The write stands; whoever was to be woken has its own backstop.
        this.#options.log.error({ err: error }, "work after a commit failed");
      }
    }
    return { result, versions, repeated };
  }

  /** C10: who lost a permission since must not read the old answer. */
  async #decideAgain(tx: Tx, scope: WriteScope, allowed: readonly AllowedAction[]): Promise<void> {
    const grants = await this.#options.grants(
      tx,
      allowed.map(({ resource }) => resource.consentsOn ?? resource.id),
    );
    for (const { action, resource } of allowed) {
      const consents = grants.get(resource.consentsOn ?? resource.id) ?? [];
      const current: ResourceRef = { ...resource, grants: [...(resource.grants ?? []), ...consents] };
      scope.require(action, current);
    }
  }

  /** A refusal outlives the transaction that it ended. */
  async #writeRefusal(record: AuditRecord | undefined, error: unknown): Promise<void> {
    if (record === undefined) return;
    try {
      await writeAudit(this.#options.db, [record]);
      if (error instanceof PlenumError) error.audited = true;
    } catch (failure) {
      this.#options.log.error(
        { err: failure, entryId: record.entryId, action: record.action },
        "a refusal could not be written to the audit",
      );
    }
  }
}

/** What the caller may be now. Throws the refusal of one from whom nothing is taken. */
function admitted(caller: Subject, standing: Standing | null, { action, refusals }: { action: string; refusals: Refusals }): Subject {
  const subject = standingSubject(caller, standing);
  if (typeof subject === "string") throw refusals.refuseBarred(caller, action, subject);
  return subject;
}

/** Nobody in particular reads or writes nothing here, whatever the listener let through. */
function known(subject: Subject): Subject {
  if (subject.kind === "anonymous") throw unauthenticated("send `authorization: Bearer <token>`");
  return subject;
}

export function createCalls(options: CallsOptions): Calls {
  return new DatabaseCalls(options);
}
