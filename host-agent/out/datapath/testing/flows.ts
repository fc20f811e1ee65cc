import { join } from "node:path";
import * as linux from "#lib/linux/index.ts";
import type { Endpoint, Rule } from "../../../core/ports.ts";
import { BpfMap, type MapName } from "../bpf-map.ts";
import { SCHEMA } from "../index.ts";
import { check, objGet } from "../libbpf.ts";
import { readBigint, readNumber, u32 } from "../record.ts";
import { ethernet, icmpEcho, ipv4, tcp, TCP_FLAG, udp } from "./frames.ts";
import { dropsOf, GATEWAY_MAC, GUEST_DEVICE, type Lab, type LabGuest, type LabHost } from "./lab.ts";
import { sendFrame } from "./raw-socket.ts";

/** Packets between guests that answer nothing by themselves, and what became of each. */

/** An open guest without an address of its own: its kernel answers nothing, so every packet is the test's. */
export function quietGuest(lab: Lab, host: LabHost, address: string, rules: readonly Rule[], changes: Partial<Endpoint> = {}): LabGuest {
  const guest = lab.openGuest(host, address, changes, rules);
  linux.withNetlink(guest.path, (nl) => {
    linux.deleteAddress(nl, linux.getLink(nl, GUEST_DEVICE)?.ifindex ?? 0, `${address}/24`);
  });
  return guest;
}

/** "passes", or the name of the reason of the drop. Throws if neither is seen. */
export function outcome(from: LabGuest, to: LabGuest, packet: Buffer): string {
  const before = totals(from, to);
  sendFrame(from.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: from.endpoint.guestMac }, packet));
  for (const deadline = performance.now() + 2000; performance.now() < deadline;) {
    const after = totals(from, to);
    const changed = [...after].filter(([name, count]) => count !== (before.get(name) ?? 0n)).map(([name]) => name.replace(/^\d+ /, ""));
    if (changed.length > 0) return changed.join(" and ");
  }
  throw new Error("the packet was neither delivered nor dropped");
}

function totals(from: LabGuest, to: LabGuest): Map<string, bigint> {
  const hosts = [...new Set([from.host, to.host])];
  const wireIds = [...new Set([0, from.endpoint.wireId, to.endpoint.wireId])];
  const drops = hosts.flatMap((host) =>
    wireIds.flatMap((id) =>
      Object.entries(dropsOf(host, id)).map(([name, n]): [string, bigint] => [`${hosts.indexOf(host)}${id} ${name}`, n]),
    ),
  );
  const meter = to.host.datapath.readMeters().find((m) => m.meterId === to.endpoint.meterId && m.direction === "ingress");
  return new Map([...drops, ["passes", meter?.packets ?? 0n]]);
}

/** Both ways of a conversation: what begins it and what answers. */
export interface Conversation {
  opening: Buffer;
  answer: Buffer;
}

export function udpBetween(client: LabGuest, server: LabGuest, from: number, to: number): Conversation {
  const payload = Buffer.from("x");
  return between(client, server, 17, udp(from, to, payload), udp(to, from, payload));
}

export function tcpBetween(client: LabGuest, server: LabGuest, from: number, to: number): Conversation {
  return between(client, server, 6, tcp(from, to, TCP_FLAG.syn), tcp(to, from, TCP_FLAG.syn | TCP_FLAG.ack));
}

export function echoBetween(client: LabGuest, server: LabGuest, identifier: number): Conversation {
  return between(client, server, 1, icmpEcho(Buffer.alloc(8), { identifier }), icmpEcho(Buffer.alloc(8), { identifier, reply: true }));
}

function between(client: LabGuest, server: LabGuest, protocol: number, there: Buffer, back: Buffer): Conversation {
  return {
    opening: ipv4({ src: client.address, dst: server.address, protocol }, there),
    answer: ipv4({ src: server.address, dst: client.address, protocol }, back),
  };
}

/** Gives a guest other rules under a new id, in place. */
export function changeRules(guest: LabGuest, id: number, rules: readonly Rule[]): void {
  guest.host.datapath.putRuleset({ id, rules });
  guest.endpoint = { ...guest.endpoint, rulesetId: id };
  guest.host.datapath.putEndpoint(guest.endpoint);
}

/** Reaches past the port, into a map as the host has it pinned. */
export function withMap<R>(host: { readonly options: Pick<LabHost["options"], "bpffsDir"> }, name: MapName, use: (map: BpfMap) => R): R {
  const map = BpfMap.own(name, check(objGet(join(host.options.bpffsDir, SCHEMA, "maps", name)), "open the map"));
  try {
    return use(map);
  } finally {
    map.close();
  }
}

/** How many connections a host's interfaces hold beyond their shares, by their budgets; and how many the programs have counted so. */
export function beyondShares(host: Parameters<typeof withMap>[0]): { held: number; counted: number } {
  const beyond = (budget: Buffer): number =>
    Math.max(0, Number(readBigint("connection_budget", budget, "count")) - readNumber("connection_budget", budget, "share"));
  const all = withMap(host, "budgets", (map) => [...map.entries()].map(([, budget]) => beyond(budget)));
  const taken = withMap(host, "common", (map) => map.get(u32(0)) ?? Buffer.alloc(8)).readBigInt64LE();
  return { held: all.reduce((sum, count) => sum + count, 0), counted: Number(taken) };
}
