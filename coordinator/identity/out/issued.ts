import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import { closeGate } from "./gate.ts";
import type { PrincipalKey } from "./principals.ts";

/**
 * Those for whom the tokens of a principal issued one, and on; itself among them. The audit knows: it is written with each issue, and has an
 * index of these rows alone (0112), whose condition is the one here.
 */
export const issuedBy = ({ accountId, principalId }: PrincipalKey) => sql<PrincipalKey>`
    WITH RECURSIVE issued (account_id, principal_id) AS (
      SELECT ${accountId}::text, ${principalId}::text
      UNION
      SELECT a.resource_account, a.resource_id FROM issued i JOIN audit_entry a USING (account_id, principal_id)
      WHERE a.action = 'identity:IssueToken' AND a.allowed AND a.resource_kind = 'principal' AND a.time > now() - interval '91 days'
    )
    SELECT account_id AS "accountId", principal_id AS "principalId" FROM issued ORDER BY 1, 2`;

/**
 * The same behind the gates of all their accounts, so that none of them issues another one until the transaction ends. In order of account
 * and name.
 */
export async function holdIssued(tx: Tx, key: PrincipalKey): Promise<PrincipalKey[]> {
  const closed = new Set<string>();
  let found: PrincipalKey[] = [key];
  for (let open = [key.accountId]; open.length > 0; open = found.map((one) => one.accountId).filter((id) => !closed.has(id))) {
    for (const accountId of [...new Set(open)].sort()) {
      await closeGate(tx, accountId);
      closed.add(accountId);
    }
    found = (await issuedBy(key).execute(tx)).rows;
  }
  return found;
}
