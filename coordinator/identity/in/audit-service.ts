import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import type { AuditEntry } from "#gen/plenum/audit/v1/audit.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { enumValue } from "#lib/rpc/validate.ts";
import { openPage, timeField, visibleAccount } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { listAuditEntries } from "../out/audit-entries.ts";
import type { AuditRow } from "../out/audit-entries.ts";

const encode = ({ allowed, ...row }: AuditRow): AuditEntry => ({
  ...row,
  decision: allowed ? AuditDecision.ALLOWED : AuditDecision.REFUSED,
});

/** Filter value → column; the zero means both. */
function allowedFilter(decision: number): boolean | undefined {
  return decision === AuditDecision.UNSPECIFIED ? undefined : enumValue(decision, AuditDecision, "decision") === AuditDecision.ALLOWED;
}

export function auditService({ calls, pages }: { calls: Calls; pages: PageTokens }): ServiceBinding {
  return bind(AuditServiceDefinition, {
    async listAuditEntries(request, context) {
      const resourceId = soughtName(request.resourceId, "resource_id");
      const principalId = soughtName(request.principalId, "principal_id");
      const allowed = allowedFilter(request.decision);
      const action = soughtName(request.action, "action");
      const accountId = request.accountId === "" ? "" : parseId("acct", request.accountId, "account_id");
      const since = timeField(request.after, "after");
      const until = timeField(request.before, "before");
      if (since !== undefined && until !== undefined && until < since) {
        throw invalidArgument("before", `is ${until.toISOString()}`, `give a time not before after, ${since.toISOString()}`);
      }
      const asked = { resourceId, principalId, allowed, action, accountId, since, until };
      const page = openPage(pages, context, request, { ...asked, since: since?.getTime(), until: until?.getTime() });
      return calls.read(context, context.action, async (call) => {
        const visibleTo = visibleAccount(call.subject);
        const filter = { visibleTo, ...asked, before: page.after, limit: page.limit };
        const rows = await listAuditEntries(call.tx, filter);
        const { items, nextPageToken } = page.cut(rows, (row) => row.entryId);
        return { entries: items.map(encode), nextPageToken };
      });
    },
  });
}
