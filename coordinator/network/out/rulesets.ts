import { sql } from "kysely";
import { RulesetItem, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { Tx } from "../../call/api.ts";
import { compileRules, namedPeers, withSets } from "../core/compile-rules.ts";
import type { SecurityGroup } from "../core/model.ts";
import { unlessExhausted } from "./exhausted.ts";
import { setsWith } from "./peer-sets.ts";

/** Rules of a set as they are stored: they name the groups that are peers, not who is in them. */
export interface CompiledRules {
  readonly rules: Buffer;
  readonly peerGroups: readonly string[];
}

export function compiled(groups: readonly SecurityGroup[]): CompiledRules {
  const rules = compileRules(groups);
  const item = RulesetItem.encode({ rulesetId: 0, wanted: Wanted.UNSPECIFIED, rules });
  return { rules: Buffer.from(item.finish()), peerGroups: namedPeers(rules) };
}

/** RESOURCE_EXHAUSTED when every number was given out. */
export async function insertRuleset(tx: Tx, { rules, peerGroups }: CompiledRules): Promise<bigint> {
  const { rows } = await unlessExhausted("ruleset ids", () =>
    sql<{ id: bigint }>`
    INSERT INTO ruleset (ruleset_id, rules, peer_groups) VALUES (nextval('ruleset_id'), ${rules}, ${[...peerGroups]}::text[])
    RETURNING ruleset_id AS id`.execute(tx),
  );
  const id = rows[0]?.id;
  if (id === undefined) throw new Error("an insert returned nothing");
  return id;
}

export async function storedRules(tx: Tx, rulesetIds: readonly bigint[]): Promise<Map<bigint, Buffer>> {
  const { rows } = await sql<{ id: bigint; rules: Buffer }>`
    SELECT ruleset_id AS id, rules FROM ruleset WHERE ruleset_id = ANY(${[...new Set(rulesetIds)].map(String)}::bigint[])`.execute(tx);
  return new Map(rows.map(({ id, rules }) => [id, rules]));
}

/** Rulesets without the sets of the groups that they name, by id: these never change. */
export async function compiledRulesets(tx: Tx, rulesetIds: readonly number[]): Promise<Map<number, RulesetItem>> {
  const stored = await storedRules(tx, rulesetIds.map(BigInt));
  return new Map(
    [...stored].map(([id, rules]) => [
      Number(id),
      { rulesetId: Number(id), wanted: Wanted.PRESENT, rules: RulesetItem.decode(rules).rules },
    ]),
  );
}

/**
 * The same as hosts are sent them. Who tells a host of them holds their sets (`holdGroupSets`), or reads as of the version that it tells: what
 * changes of the groups' sets is then told later.
 */
export async function withPeerSets(tx: Tx, rulesets: readonly RulesetItem[]): Promise<RulesetItem[]> {
  const named = namedPeers(rulesets.flatMap(({ rules }) => rules));
  if (named.length === 0) return [...rulesets];
  const sets = await setsWith(tx, named);
  return rulesets.map((item) => ({ ...item, rules: withSets(item.rules, sets) }));
}
