import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestCoordinator } from "../../testing/coordinator.ts";
import type { TestCoordinator } from "../../testing/coordinator.ts";
import { issuedBy } from "./issued.ts";

let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

it("reads of a large audit the rows of issues alone, by an index of theirs", async () => {
  const { kysely } = system.db;
  await sql`
    INSERT INTO audit_entry (entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account, allowed, hidden, reason)
    SELECT 'audit-' || n, CASE WHEN n % 2 = 0 THEN 'boss' ELSE 'p' || n % 50 END, 'acct-1',
           CASE WHEN n % 1000 = 0 THEN 'identity:IssueToken' ELSE 'nivc:CreateInterface' END,
           CASE WHEN n % 1000 = 0 THEN 'principal' ELSE 'interface' END, 'p' || n, 'acct-1', true, false, 'owner'
    FROM generate_series(1, 30000) AS n`.execute(kysely);
  await sql`ANALYZE audit_entry`.execute(kysely);
  const issued = issuedBy({ accountId: "acct-1", principalId: "boss" });
  expect((await issued.execute(kysely)).rows).toHaveLength(31);
  const { rows } = await sql<{ "QUERY PLAN": string }>`EXPLAIN ${issued}`.execute(kysely);
  const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
  expect(plan).toContain("audit_entry_issued");
  expect(plan).not.toMatch(/Seq Scan on audit_entry/);
});
