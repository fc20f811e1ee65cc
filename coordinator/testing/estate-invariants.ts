import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import type { FakeHost } from "./fake-host.ts";
import type { World } from "./world.ts";

/** What must be true of the tables once every host has said all that is asked of it: each finds the rows that are wrong. */
const WRONG: Readonly<Record<string, RawBuilder<unknown>>> = {
  "an attachment that its host has not answered": sql`
    SELECT attachment_id AS id FROM attachment WHERE state = 3 OR (state <> 4 AND host_id IS NOT NULL AND applied_generation <> generation)`,
  "an address that is held in vain, or not held": sql`
    SELECT a.attachment_id AS id FROM attachment a WHERE
      (SELECT coalesce(array_agg(host(h.address) ORDER BY 1), '{}') FROM attachment_address h
        WHERE h.attachment_id = a.attachment_id AND h.network_id = a.network_id AND h.until_generation IS NULL)
      <> (SELECT coalesce(array_agg(host(address::inet) ORDER BY 1), '{}') FROM unnest(a.addresses) AS address WHERE a.state <> 4)
    UNION ALL SELECT attachment_id FROM attachment_address WHERE until_generation IS NOT NULL`,
  "an attachment unlike its record": sql`
    SELECT a.attachment_id AS id FROM attachment a LEFT JOIN interface i USING (interface_id) WHERE a.state <> 4 AND (
      i.interface_id IS NULL OR (a.addresses, a.group_set_id, a.source_dest_check, a.disabled, a.dns_servers)
        IS DISTINCT FROM (i.addresses, i.group_set_id, i.source_dest_check, i.disabled, i.dns_servers))`,
  "an attachment with rules that its groups no longer mean": sql`
    SELECT attachment_id AS id FROM attachment JOIN group_set s USING (group_set_id)
    WHERE state <> 4 AND wanted = 1 AND attachment.ruleset_id <> s.ruleset_id`,
  "a set of groups that something has, and that was forgotten": sql`
    SELECT interface_id AS id FROM interface WHERE group_set_id NOT IN (SELECT group_set_id FROM group_set)
    UNION ALL SELECT attachment_id FROM attachment WHERE state <> 4 AND group_set_id NOT IN (SELECT group_set_id FROM group_set)`,
  "an attachment that is not where its instance is": sql`
    SELECT a.attachment_id AS id FROM attachment a LEFT JOIN instance i USING (instance_id)
    WHERE a.state <> 4 AND (i.instance_id IS NULL OR i.state IN (5, 6) OR a.host_id IS DISTINCT FROM i.host_id)`,
  "a record of what is not there": sql`
    SELECT interface_id AS id FROM interface i WHERE
      NOT EXISTS (SELECT FROM subnet s WHERE s.subnet_id = i.subnet_id AND s.vpc_id = i.vpc_id)
      OR EXISTS (SELECT FROM unnest(security_group_ids) AS one WHERE one NOT IN (SELECT security_group_id FROM security_group))
      OR (SELECT members FROM group_set s WHERE s.group_set_id = i.group_set_id)
        <> (SELECT array_agg(one ORDER BY one COLLATE "C") FROM unnest(security_group_ids) AS one)`,
  "a record whose addresses are named otherwise": sql`
    SELECT interface_id AS id FROM interface i WHERE
      (SELECT coalesce(array_agg(host(n.address) ORDER BY 1), '{}') FROM interface_address n WHERE n.interface_id = i.interface_id)
      <> (SELECT array_agg(host(address::inet) ORDER BY 1) FROM unnest(i.addresses) AS address)`,
  "a rule that names a group that is gone": sql`
    SELECT security_group_id AS id FROM security_group, jsonb_array_elements(rules) AS rule
    WHERE rule ->> 'groupId' <> '' AND rule ->> 'groupId' NOT IN (SELECT security_group_id FROM security_group)`,
  "a count that is not the number of rows": sql`
    SELECT account_id || ' ' || quota AS id FROM (
      SELECT account_id, quota, sum(used) AS used FROM (
        SELECT account_id, quota, used FROM account_use UNION ALL SELECT account_id, quota, used FROM account_use_part
      ) AS part GROUP BY account_id, quota
    ) AS counted WHERE
      quota = 'interfaces' AND used <> (SELECT count(*) FROM interface WHERE owner_account = account_id)
      OR quota = 'vpcs' AND used <> (SELECT count(*) FROM vpc WHERE owner_account = account_id)`,
  "an instance half way, or with an operation that does not end": sql`
    SELECT instance_id AS id FROM instance WHERE state IN (1, 3, 5)
    UNION ALL SELECT subject_id FROM operation WHERE state = 'RUNNING'`,
  "a consent on a record that is gone": sql`
    SELECT consent_id AS id FROM consent
    WHERE resource_kind = 'interface' AND state <> 'REVOKED' AND resource_id NOT IN (SELECT interface_id FROM interface)`,
  "a scope whose log has a gap, or marks that do not follow": sql`
    SELECT scope AS id FROM (
      SELECT scope, version, prev_mark, lag(mark) OVER log AS before, lag(version) OVER log AS last FROM change WINDOW log AS (PARTITION BY scope ORDER BY version)
    ) AS linked WHERE version <> coalesce(last, 0) + 1 OR prev_mark <> coalesce(before, 0)
    UNION ALL SELECT scope FROM scope WHERE version <> (SELECT max(version) FROM change WHERE change.scope = scope.scope)`,
  "a lock or a transaction that nobody ended": sql`
    SELECT locktype AS id FROM pg_locks WHERE locktype IN ('advisory', 'tuple') OR NOT granted
    UNION ALL SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'`,
};

/** Which of them are not, with the ids concerned: empty when all is well. */
export async function wrongRows({ db }: World): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const [what, query] of Object.entries(WRONG)) {
    const { rows } = await sql<{ id: string }>`${query}`.execute(db.kysely);
    if (rows.length > 0) found[what] = rows.map(({ id }) => id);
  }
  return found;
}

interface Placed {
  readonly prefix: string;
  readonly attachment_id: string;
  readonly host_id: string;
  readonly group_set_id: bigint;
}

/** A network as its log tells it from the first change on, and as its tables have it now. */
export async function networkTwice({ db }: World, networkId: bigint): Promise<{ told: Placed[]; there: Placed[] }> {
  const log = await sql<{ payload: Buffer }>`
    SELECT payload FROM change WHERE scope = ${`network:${networkId}`} ORDER BY version`.execute(db.kysely);
  const told = new Map<string, Placed[]>();
  for (const { prefix, targets } of log.rows.flatMap(({ payload }) => NetworkChange.decode(payload).items)) {
    const placed = targets.map((one) => ({ attachment_id: one.attachmentId, host_id: one.hostId, group_set_id: BigInt(one.groupSetId) }));
    told.set(
      prefix,
      placed.map((one) => ({ prefix, ...one })),
    );
  }
  const { rows: there } = await sql<Placed>`
    SELECT prefix, attachment_id, host_id, group_set_id FROM coordinator_feed.mapping WHERE network_id = ${networkId}`.execute(db.kysely);
  const inOrder = (rows: readonly Placed[]) => rows.toSorted((a, b) => (a.prefix < b.prefix ? -1 : 1));
  return { told: inOrder([...told.values()].flat()), there: inOrder(there) };
}

/** What a host was told in the course of things, and what it is told that starts from nothing. It is connected anew by this. */
export async function hostTwice(host: FakeHost) {
  const held = () => ({
    instances: [...host.instances.values()].filter(({ wanted }) => wanted === 1).toSorted((a, b) => (a.instanceId < b.instanceId ? -1 : 1)),
    attachments: [...host.attachments.values()]
      .filter(({ wanted }) => wanted === 1)
      .toSorted((a, b) => (a.attachmentId < b.attachmentId ? -1 : 1)),
    rulesets: [...host.rulesets.values()].toSorted((a, b) => a.rulesetId - b.rulesetId),
  });
  const told = held();
  await host.disconnect();
  for (const items of [host.instances, host.attachments, host.rulesets]) items.clear();
  await host.connect();
  return { told, anew: held() };
}
