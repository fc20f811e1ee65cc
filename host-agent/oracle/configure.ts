import type { Configuration, Endpoint, Mapping, Rule } from "#lib/model/index.ts";
import type * as ports from "../core/ports.ts";
import type { BpfMap } from "../out/datapath/bpf-map.ts";
import { DEFAULT_CONNECTION_LIMITS, encodeHostConfig } from "../out/datapath/connections.ts";
import { STRUCTS } from "../out/datapath/layout.gen.ts";
import { u32 } from "../out/datapath/record.ts";
import { deleteMappings, putMappings } from "../testing/mapping-batches.ts";

export const EMPTY: Configuration = {
  host: undefined,
  endpoints: [],
  connectionTable: Infinity,
  connectionCommon: 0,
  meterIds: new Set(),
  rulesets: [],
  mappings: [],
};

/** Brings a host's maps from one configuration to another, through its port; what no port can do (forget itself) directly. */
export function configure(datapath: ports.Datapath, host: BpfMap, before: Configuration, next: Configuration): void {
  for (const { wireId } of before.endpoints) if (!next.endpoints.some((e) => e.wireId === wireId)) datapath.closeEndpoint(wireId);
  for (const ruleset of before.rulesets) if (!next.rulesets.includes(ruleset)) datapath.deleteRuleset(ruleset.id);
  for (const ruleset of next.rulesets.filter((r) => !before.rulesets.includes(r)))
    datapath.putRuleset({ id: ruleset.id, rules: ruleset.rules.map(ruleOf) });
  for (const endpoint of next.endpoints) putEndpoint(datapath, next, endpoint);
  for (const { wireId, meterId } of before.endpoints)
    if (!next.endpoints.some((e) => e.meterId === meterId)) datapath.dropMeter(wireId, meterId);
  const key = ({ vni, address }: Mapping): string => `${vni} ${address}`;
  const kept = new Set(next.mappings.map(key));
  const gone = before.mappings.filter((m) => !kept.has(key(m))).map(({ vni, address }) => ({ vni, prefix: `${address}/32` }));
  deleteMappings(datapath, gone);
  const there = next.mappings.map(({ address, ...mapping }) => ({ ...mapping, prefix: `${address}/32` }));
  putMappings(datapath, there);
  host.put(u32(0), hostConfig(next));
}

/** Idle times are there also where the host does not know its own place. */
function hostConfig({ host, connectionCommon }: Configuration): Buffer {
  const place = { hostAddress: host?.address ?? "0.0.0.0", tunnelIfindex: host?.tunnelIfindex ?? 0 };
  const bytes = encodeHostConfig(place, { ...DEFAULT_CONNECTION_LIMITS, common: connectionCommon });
  const { offset, size } = STRUCTS.host_config.fields.address;
  return host === undefined ? bytes.fill(0, offset, offset + size) : bytes;
}

/** The port refuses an endpoint without ruleset, and makes its meter: what is to be missing is removed afterwards. */
function putEndpoint(datapath: ports.Datapath, { rulesets, meterIds }: Configuration, endpoint: Endpoint): void {
  const { rulesetId, wireId, meterId } = endpoint;
  const isRuled = rulesets.some(({ id }) => id === rulesetId);
  if (!isRuled) datapath.putRuleset({ id: rulesetId, rules: [] });
  datapath.putEndpoint(endpoint);
  if (!isRuled) datapath.deleteRuleset(rulesetId);
  if (meterIds.has(meterId)) return;
  datapath.dropMeter(wireId, meterId);
  datapath.putMeter({ wireId, meterId: meterId + OTHER_METER }); // its drop counters and budget stay
}

const OTHER_METER = 1n << 40n;

function ruleOf({ peer, ...rule }: Rule): ports.Rule {
  return { ...rule, ...("cidr" in peer ? { peerCidr: peer.cidr } : { peerGroupId: "", peerGroupSets: peer.groupSetIds }) };
}
