import type { Configuration } from "#lib/model/index.ts";
import { routeOf, type Draft } from "./draft.ts";
import { localEndpoint } from "./flow.ts";
import type { Random } from "./random.ts";
import { ADDRESSES, PROTOCOLS, VNIS } from "./world.ts";

/** A later fragment that has all but one in common with the one that belongs to a first: it must not be taken for it. */
export function strangerOf(random: Random, configuration: Configuration, rest: Draft): Draft {
  const { ip } = rest;
  const other = (fields: Partial<Draft["ip"]>): Draft => ({ ...rest, ip: { ...ip, ...fields }, note: `not quite ${rest.note}` });
  return random.weighted<() => Draft>([
    [3, () => other({ src: random.pick(neighboursOf(configuration, rest) ?? ADDRESSES) })],
    [2, () => other({ dst: random.pick(ADDRESSES) })],
    [2, () => other({ protocol: random.pick([PROTOCOLS.tcp, PROTOCOLS.udp, PROTOCOLS.sctp, PROTOCOLS.icmp]) })],
    [3, () => other({ identification: ((ip.identification ?? 0) + 1) % 3 })],
    [2, () => inOtherNetwork(random, configuration, rest)],
  ])();
}

/** Those for which the sending host may send too. */
function neighboursOf({ mappings }: Configuration, { origin }: Draft): string[] | undefined {
  if (origin.from === "instance" || origin.key === undefined) return undefined;
  const { vni, sender } = origin.key;
  const held = mappings.filter((m) => m.vni === vni && m.hostAddress === sender).map((m) => m.address);
  return held.length > 0 ? held : undefined;
}

/** The same addresses, where another network has them too. */
function inOtherNetwork(random: Random, configuration: Configuration, rest: Draft): Draft {
  const { src, dst } = rest.ip;
  const { origin } = rest;
  const vni = origin.from === "tunnel" ? origin.key?.vni : configuration.endpoints.find((e) => e.ifindex === origin.ifindex)?.vni;
  const other = VNIS.find(
    (id) => id !== vni && (localEndpoint(configuration, id, src) ?? localEndpoint(configuration, id, dst)) !== undefined,
  );
  const route = other === undefined ? undefined : routeOf(random, configuration, other, src, dst);
  return route === undefined ? rest : { ...rest, ...route, note: `in another network, ${rest.note}` };
}
