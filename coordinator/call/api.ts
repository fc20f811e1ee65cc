import type { RawBuilder, Transaction } from "kysely";
import type { Caller } from "#lib/rpc/caller.ts";
import type { PlenumError } from "#lib/rpc/errors.ts";
import type { Decision, ResourceRef } from "./core/decide.ts";
import type { Subject } from "./core/subject.ts";

export { actsBy, DEFAULT_DENY, inOwnRight, INSTALLATION, isGrantee, isRead, SEE } from "./core/decide.ts";
export { decide } from "./out/decide.ts";
export type { Decision, Effect, ResourceGrant, ResourceRef } from "./core/decide.ts";
export { visibleAccount } from "./core/visible.ts";
export { tellWatchers, watchedIds, watchScopes } from "./core/watch-scope.ts";
export type { Concerned } from "./core/watch-scope.ts";
export { COORDINATOR, subjectOf } from "./core/subject.ts";
export type { Hold, Standing, Subject } from "./core/subject.ts";
export { createCalls } from "./out/calls.ts";
export type { CallsOptions, GrantSource, HoldConsents, StandingQuery } from "./out/calls.ts";
export { openSharedPageTokens } from "./out/page-tokens.ts";
export { checkEtag, durationMs, etagOf, slug, tagsField, timeField } from "./in/fields.ts";
export { maskField } from "./in/mask.ts";
export { storedAs, storedIds, storedNothing } from "./in/stored-as.ts";
export { waitField } from "./in/wait-field.ts";
export type { Waiting } from "./in/wait-field.ts";
export { openPage } from "./in/pager.ts";
export type { PageRequest } from "./in/pager.ts";
export { callMigrations, SCHEMA } from "./migrations.ts";

/**
 * A transaction of the schema `coordinator`. Modules write SQL through kysely's `sql` tag, or give it their own tables
 * with `tx.$extendTables<MyTables>()`.
 */
export type Tx = Transaction<unknown>;

/** What `Calls` needs of an RPC's context; lib/rpc's `ServerContext` has it. */
export interface CallContext {
  readonly caller: Caller;
  /** The RPC's path: part of the idempotency key. */
  readonly method: string;
  /** Where the call came from, for the audit; absent: not known. */
  readonly peer?: string;
  /** The request, for the audit's details. */
  readonly request?: unknown;
}

/** What a transaction may ask about the caller. */
export interface Sight {
  readonly subject: Subject;
  /** Whether the caller may know that the resource is there. Pure: records nothing. */
  canSee(resource: ResourceRef): boolean;
  /** Throws NOT_FOUND unless the caller may see it; the refusal goes into the audit. */
  requireSee(resource: ResourceRef): void;
}

/** One reading call: one consistent view of the database, read only. */
export interface ReadCall extends Sight {
  readonly tx: Tx;
  /** The database's clock at the start. */
  readonly now: Date;
}

/** One writing call = one transaction. It may run more than once (after a deadlock): keep nothing outside. */
export interface WriteCall extends Sight {
  readonly tx: Tx;
  /** The database's clock at the start. */
  readonly now: Date;
  /** Throws NOT_FOUND (may not see it) or PERMISSION_DENIED (may see, may not do it). The decision goes into the audit. */
  require(action: string, resource: ResourceRef): void;
  /** The same without throwing, where one of several permissions suffices. An allowed one goes into the audit. */
  may(action: string, resource: ResourceRef): Decision;
  /**
   * Refuse for a rule of the module's own, on a resource that the caller may see. Throws PERMISSION_DENIED; goes into the audit.
   * `consentId`: what the caller would have acted by.
   */
  forbid(action: string, resource: ResourceRef, rule: string, consentId?: string): never;
  /** The same error, which says what a consent does not allow any more: thrown, it goes into the audit as the refusal that it is. */
  refusedBy(consentId: string, action: string, resource: ResourceRef, error: PlenumError): PlenumError;
  /** Keeps a fact with the audit's entries of this call, also of its refusal: what the request or its outcome does not show by itself. */
  note(key: string, value: string): void;
  /** The call has locked these consents for a change while they were in force: what it rests on them for stands until its commit. */
  holds(consentIds: readonly string[]): void;
  /** Names what the call made or changed, where that is not what was required (a new VPC): the audit's entries are then about it. */
  concerns(resource: ResourceRef): void;
  /**
   * Collected; written to the change log as the transaction's last statement (C1). Payloads of one scope become one version: their
   * bytes are joined, so a payload is a message of repeated items only (`HostChange{items}`, `NetworkChange{items}`).
   */
  change(scope: string, payload: Uint8Array): void;
  /** Runs after the commit, in order; `versions` are the scopes' new ones. It must not throw. */
  afterCommit(fn: (versions: ReadonlyMap<string, bigint>) => void): void;
}

export interface WriteOptions<Res> {
  /** The RPC's authorisation action, for refusals that come before any `require`. */
  readonly action: string;
  /** The account ("": the installation) whose principals' standing it changes, so that it closes that gate. Undefined: nobody's. */
  readonly closes?: string;
  /** Idempotency key; empty or undefined: none. At most 128 characters, else INVALID_ARGUMENT. */
  readonly requestId?: string | undefined;
  /** The request (message or bytes), to tell a repeat from another one. Required with `requestId`. */
  readonly request?: object | undefined;
  /** The result as bytes and back, to be kept for repeats. Required with `requestId`. */
  readonly encode?: (result: Res) => Uint8Array;
  readonly decode?: (bytes: Uint8Array) => Res;
}

export interface Written<Res> {
  readonly result: Res;
  /** New version of each changed scope; empty for a repeat. */
  readonly versions: ReadonlyMap<string, bigint>;
  /** The result is that of an earlier call with the same request_id. */
  readonly repeated: boolean;
}

/** The one door between an RPC and the database. */
export interface Calls {
  /** Authorise, write, log the change, audit: one transaction (C1, C10, C15). */
  write<Res>(context: CallContext, options: WriteOptions<Res>, fn: (call: WriteCall) => Promise<Res>): Promise<Written<Res>>;
  /** Read in one consistent view. */
  read<Res>(context: CallContext, action: string, fn: (call: ReadCall) => Promise<Res>): Promise<Res>;
  /** The same by one statement: `query`'s rows, of one moment with what the caller may be then. None: one row of nulls. */
  readAtOnce<Row, Res>(context: CallContext, action: string, query: RawBuilder<Row>, fn: (sight: Sight, rows: Row[]) => Res): Promise<Res>;
  /**
   * A write that nobody's call stands behind (a host's report, a sweeper): no audit, no idempotency, and `now` is not to be asked. `behalf`:
   * of somebody all the same.
   */
  internal<Res>(fn: (call: WriteCall) => Promise<Res>, behalf?: Subject): Promise<Written<Res>>;
  /**
   * A host's call, which no policy decides but what it showed (`rule`: its certificate, a join token): what `fn` names by `concerns` goes
   * into the audit.
   */
  byHost<Res>(
    context: CallContext,
    options: { readonly action: string; readonly rule: string },
    fn: (call: WriteCall) => Promise<Res>,
  ): Promise<Written<Res>>;
  /** Drop idempotency keys older than 24 hours; run it now and then. `signal` ends it between two batches. */
  sweep(signal?: AbortSignal): Promise<void>;
}
