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
  readonly viaInstanceId: string;
  readonly viaHostId: string;
  readonly peer: string;
  readonly requestId: string;
  readonly details: Readonly<Record<string, string>>;
  readonly count: bigint;
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
  /** Of this action; empty: any. */
  readonly action: string;
  /** By callers of this account; empty: any. */
  readonly accountId: string;
  /** Not before; undefined: from the beginning. */
  readonly since: Date | undefined;
  /** Before; undefined: until now. */
  readonly until: Date | undefined;
  /** Ids smaller than this; empty: from the newest. */
  readonly before: string;
  readonly limit: number;
}

/**
 * Newest first. An account sees what was done to its own resources, and what it did itself; of the latter not those refusals that
 * were to hide that a resource exists: an entry would tell. From where others called is not its business.
 */
export async function listAuditEntries(tx: Tx, filter: AuditFilter): Promise<AuditRow[]> {
  const account = filter.visibleTo;
  const visible = account === undefined ? sql`true` : sql`(resource_account = ${account} OR (account_id = ${account} AND NOT hidden))`;
  const resource = filter.resourceId === "" ? sql`true` : sql`resource_id = ${filter.resourceId}`;
  const principal = filter.principalId === "" ? sql`true` : sql`principal_id = ${filter.principalId}`;
  const allowed = filter.allowed === undefined ? sql`true` : sql`allowed = ${filter.allowed}`;
  const action = filter.action === "" ? sql`true` : sql`action = ${filter.action}`;
  const byAccount = filter.accountId === "" ? sql`true` : sql`account_id = ${filter.accountId}`;
  const since = filter.since === undefined ? sql`true` : sql`time >= ${filter.since}`;
  const until = filter.until === undefined ? sql`true` : sql`time < ${filter.until}`;
  const shown = account === undefined ? sql`true` : sql`account_id = ${account}`;
  const before = filter.before === "" ? sql`true` : sql`entry_id < ${filter.before}`;
  const { rows } = await sql<AuditRow>`
    SELECT entry_id AS "entryId", time, principal_id AS "principalId", account_id AS "accountId", action,
           resource_kind AS "resourceKind", resource_id AS "resourceId", resource_account AS "resourceAccount", allowed, reason,
           on_behalf_of AS "onBehalfOf", delegation_id AS "delegationId", via_instance AS "viaInstanceId",
           CASE WHEN ${shown} THEN via_host ELSE '' END AS "viaHostId",
           CASE WHEN ${shown} THEN peer ELSE '' END AS peer, CASE WHEN ${shown} THEN request_id ELSE '' END AS "requestId", details, count
    FROM audit_entry WHERE ${visible} AND ${resource} AND ${principal} AND ${allowed} AND ${action} AND ${byAccount} AND ${since} AND ${until}
      AND ${before}
    ORDER BY entry_id DESC LIMIT ${filter.limit}`.execute(tx);
  return rows;
}
