import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";

export interface AuditRow {
  readonly entryId: string;
  readonly time: Date;
  readonly principalId: string;
  readonly accountId: string;
  readonly action: string;
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly resourceAccount: string;
  readonly allowed: boolean;
  readonly reason: string;
  readonly onBehalfOf: string;
  readonly delegationId: string;
}

export interface AuditFilter {
  /** Entries that this account may see; undefined: all. */
  readonly visibleTo: string | undefined;
  /** About this resource; empty: any. */
  readonly resourceId: string;
  /** By this caller; empty: any. */
  readonly principalId: string;
  /** Only allowed, only refused; undefined: both. */
  readonly allowed: boolean | undefined;
  /** Ids smaller than this; empty: from the newest. */
  readonly before: string;
  readonly limit: number;
}

/**
 * Newest first. An account sees what was done to its own resources, and what it did itself; of the latter not those refusals that
 * were to hide that a resource exists: an entry would tell.
 */
export async function listAuditEntries(tx: Tx, filter: AuditFilter): Promise<AuditRow[]> {
  const account = filter.visibleTo;
  const visible = account === undefined ? sql`true` : sql`(resource_account = ${account} OR (account_id = ${account} AND NOT hidden))`;
  const resource = filter.resourceId === "" ? sql`true` : sql`resource_id = ${filter.resourceId}`;
  const principal = filter.principalId === "" ? sql`true` : sql`principal_id = ${filter.principalId}`;
  const allowed = filter.allowed === undefined ? sql`true` : sql`allowed = ${filter.allowed}`;
  const before = filter.before === "" ? sql`true` : sql`entry_id < ${filter.before}`;
  const { rows } = await sql<AuditRow>`
    SELECT entry_id AS "entryId", time, principal_id AS "principalId", account_id AS "accountId", action,
           resource_kind AS "resourceKind", resource_id AS "resourceId", resource_account AS "resourceAccount", allowed, reason,
           on_behalf_of AS "onBehalfOf", delegation_id AS "delegationId"
    FROM audit_entry WHERE ${visible} AND ${resource} AND ${principal} AND ${allowed} AND ${before}
    ORDER BY entry_id DESC LIMIT ${filter.limit}`.execute(tx);
  return rows;
}
