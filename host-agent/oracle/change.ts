import type { Configuration, Endpoint, Rule, Ruleset } from "#lib/model/index.ts";
import type { Random } from "./random.ts";
import { withLessInCommon } from "./shares.ts";
import { GROUP_SETS, mappingsOf, randomConfiguration, randomRuleset, THERE, type World } from "./world.ts";

/** What may change while connections live: rules, membership, places, and what goes missing. */
type Change = (random: Random, configuration: Configuration, world: World) => Configuration;

export function randomChange(random: Random, configuration: Configuration, world: World): { note: string; configuration: Configuration } {
  const [note, change] = random.weighted(CHANGES.map(([weight, ...rest]) => [weight, rest] as const));
  return { note, configuration: change(random, configuration, world) };
}

const CHANGES: readonly (readonly [weight: number, note: string, change: Change])[] = [
  [8, "other rules", otherRules],
  [4, "other groups here", (random, c) => changeEndpoint(random, c, { groupSetId: random.pick(GROUP_SETS) })],
  [4, "other groups there", (random, c) => changeMapping(random, c, { groupSetId: random.pick(GROUP_SETS) })],
  [2, "another host", (random, c) => changeMapping(random, c, { hostAddress: random.pick(THERE) })],
  [2, "address gone", (random, c) => ({ ...c, mappings: without(random, c.mappings) })],
  [1, "interface closed", (random, c) => ({ ...c, endpoints: c.endpoints.length > 1 ? without(random, c.endpoints) : c.endpoints })],
  [2, "source check", (random, c) => changeEndpoint(random, c, { sourceDestCheck: random.chance(0.5) })],
  [2, "budget", (random, c) => changeEndpoint(random, withLessInCommon(c), { connectionBudget: random.pick([1, 2, 4, 65536]) })],
  [1.5, "ruleset gone", (random, c) => ({ ...c, rulesets: without(random, c.rulesets) })],
  [2, "meter gone", (random, c) => ({ ...c, meterIds: new Set(without(random, [...c.meterIds])) })],
  [1, "host unknown", (_, c) => ({ ...c, host: undefined })],
  [8, "all as it should be", repaired],
  // A table that is fuller than it may be is none that a host can have.
  [2, "another world", (random, { connectionTable }, world) => ({ ...randomConfiguration(random, world), connectionTable })],
];

/** From now on the interface of this device may send to this address by the groups of the address only. */
export function byGroupsOnly(random: Random, c: Configuration, ifindex: number, address: string): Configuration {
  const groupSetIds = c.mappings.filter((m) => m.address === address && m.groupSetId > 0).map((m) => m.groupSetId);
  const id = random.between(1, 0x7fffffff);
  const rules: Rule[] = [{ direction: "egress", protocol: 0, portFrom: 0, portTo: 65535, peer: { groupSetIds } }];
  const endpoints = c.endpoints.map((e) => (e.ifindex === ifindex ? { ...e, rulesetId: id } : e));
  return { ...c, endpoints, rulesets: [...c.rulesets, { id, rules }] };
}

/** These endpoints under other rules. */
export function withRuleset(configuration: Configuration, changed: readonly Endpoint[], ruleset: Ruleset): Configuration {
  const isChanged = (e: Endpoint): boolean => changed.some(({ wireId }) => wireId === e.wireId);
  return {
    ...configuration,
    rulesets: [...configuration.rulesets, ruleset],
    endpoints: configuration.endpoints.map((e) => (isChanged(e) ? { ...e, rulesetId: ruleset.id } : e)),
  };
}

function otherRules(random: Random, c: Configuration): Configuration {
  const ruleset = random.chance(0.5) && c.rulesets.length > 0 ? random.pick(c.rulesets) : randomRuleset(random);
  const rulesets = c.rulesets.includes(ruleset) ? c.rulesets : [...c.rulesets, ruleset];
  return changeEndpoint(random, { ...c, rulesets }, { rulesetId: ruleset.id });
}

/** An endpoint and what is known of it. */
function changeEndpoint(random: Random, c: Configuration, fields: Partial<Endpoint>): Configuration {
  if (c.endpoints.length === 0) return c;
  const before = random.pick(c.endpoints);
  const after = { ...before, ...fields };
  const rest = c.mappings.filter((m) => m.vni !== before.vni || !before.addresses.includes(m.address));
  return {
    ...c,
    endpoints: c.endpoints.map((e) => (e === before ? after : e)),
    mappings: random.chance(0.8) ? [...rest, ...mappingsOf(after)] : c.mappings,
  };
}

function changeMapping(random: Random, c: Configuration, fields: Partial<Configuration["mappings"][number]>): Configuration {
  const remote = c.mappings.filter((m) => THERE.some((host) => host === m.hostAddress));
  if (remote.length === 0) return c;
  const before = random.pick(remote);
  return { ...c, mappings: c.mappings.map((m) => (m === before ? { ...m, ...fields } : m)) };
}

function without<T>(random: Random, list: readonly T[]): readonly T[] {
  if (list.length === 0) return list;
  const gone = random.pick(list);
  return list.filter((item) => item !== gone);
}

/** Nothing is missing that endpoints name. */
function repaired(random: Random, c: Configuration, { tunnelIfindex }: World): Configuration {
  const missing = c.endpoints.filter((e) => !c.rulesets.some((r) => r.id === e.rulesetId)).map((e) => e.rulesetId);
  const rulesets = [...c.rulesets, ...[...new Set(missing)].map((id) => ({ ...randomRuleset(random), id }))];
  return { ...c, rulesets, host: { address: "198.18.0.1", tunnelIfindex }, meterIds: new Set(c.endpoints.map((e) => e.meterId)) };
}
