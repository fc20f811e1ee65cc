import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { newId } from "#lib/ids/ids.ts";
import type { Effect, ResourceRef } from "../core/decide.ts";
import type { Origin } from "../core/origin.ts";
import type { Subject } from "../core/subject.ts";

/** One decision, as it is kept. */
export interface AuditRecord {
  readonly entryId: string;
  readonly subject: Subject;
  readonly origin: Origin;
  readonly action: string;
  readonly resource: ResourceRef;
  readonly effect: Effect;
  readonly rule: string;
  /** The consent by which it was allowed, and whose it is; absent: in the caller's own right. */
  readonly delegation?: Delegation | undefined;
}

export interface Delegation {
  readonly consentId: string;
  readonly grantorAccount: string;
}

export function auditRecord(record: Omit<AuditRecord, "entryId">): AuditRecord {
  return { entryId: newId("audit"), ...record };
}

/** For whom it was done: who gave the consent, else the caller's own account, or for an operator and a host the owner of what it acted on. */
function behalfOf({ subject, resource, delegation }: AuditRecord): string {
  if (delegation !== undefined) return delegation.grantorAccount;
  return subject.kind === "account" ? (subject.accountId ?? "") : resource.ownerAccount;
}

/** Write decisions, all in one statement. */
export async function writeAudit(db: Kysely<unknown>, records: readonly AuditRecord[]): Promise<void> {
  if (records.length > 0) await insertAudit(records).execute(db);
}

/** The statement, alone or as part of another. At least one record. */
export function insertAudit(records: readonly AuditRecord[]): RawBuilder<unknown> {
  const column = (value: (record: AuditRecord) => string): string[] => records.map(value);
  return sql`
    INSERT INTO audit_entry (entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account, allowed, hidden, reason,
                             on_behalf_of, delegation_id, peer, request_id, details, via_instance, via_host)
    SELECT entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account,
           effect = 'allow', effect = 'deny-hidden', reason, on_behalf_of, delegation_id, peer, request_id, details,
           via_instance, via_host
    FROM unnest(
      ${column((r) => r.entryId)}::text[], ${column((r) => r.subject.principalId)}::text[], ${column((r) => r.subject.accountId ?? "")}::text[],
      ${column((r) => r.action)}::text[], ${column((r) => r.resource.kind)}::text[], ${column((r) => r.resource.id)}::text[],
      ${column((r) => r.resource.ownerAccount)}::text[], ${column((r) => r.effect)}::text[], ${column((r) => r.rule)}::text[],
      ${column(behalfOf)}::text[], ${column((r) => r.delegation?.consentId ?? "")}::text[],
      ${column((r) => r.origin.peer)}::text[], ${column((r) => r.origin.requestId)}::text[], ${column((r) => JSON.stringify(r.origin.details))}::jsonb[],
      ${column((r) => r.subject.via?.instanceId ?? "")}::text[], ${column((r) => r.subject.via?.hostId ?? "")}::text[]
    ) AS t (entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account, effect, reason, on_behalf_of,
            delegation_id, peer, request_id, details, via_instance, via_host)`;
}
