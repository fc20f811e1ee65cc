import * as linux from "#lib/linux/index.ts";
import { Lab } from "../../host-agent/out/datapath/testing/lab.ts";
import type { LabHost } from "../../host-agent/out/datapath/testing/lab.ts";
import type { Rule } from "../../host-agent/core/ports.ts";
import type { Drops } from "./drops.ts";
import { ipIn, nameOf } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";
import { loadRules } from "./nftables.ts";
import type { Cleanup } from "./run.ts";

/** Two guests that can reach one another, over whatever is measured. */
export interface Side {
  name: string;
  /** Namespaces of the guests, and the address of the second. */
  client: string;
  server: string;
  address: string;
  /** Every namespace that a packet passes, by a name for people. */
  namespaces: Record<string, string>;
  /** Packets that our programs dropped, by host, interface and reason. */
  numberedDrops(): Drops;
}

/** Guests' MTU on every side: 50 less than the substrate's (D12). */
const MTU = 1450;

/**
 * What both filters hold for each guest and direction: five rules that do not match the measured traffic, and three that do. A stateless
 * filter needs the ports of the answers too, so that the peer gets them as well.
 */
export const RULES: readonly Rule[] = (["ingress", "egress"] as const).flatMap((direction) => [
  ...[1, 2, 3, 4, 5].map((n) => ({ direction, protocol: 6, portFrom: 443, portTo: 443, peerCidr: `192.0.2.${n * 16}/28` })),
  { direction, protocol: 6, portFrom: 1024, portTo: 65535, peerCidr: "10.0.0.0/8" },
  { direction, protocol: 17, portFrom: 1024, portTo: 65535, peerCidr: "10.0.0.0/8" },
  { direction, protocol: 1, portFrom: 0, portTo: 255, peerCidr: "0.0.0.0/0" },
]);

/**
 * The substrate of all sides. Its bridge stands for a wire: that a bridge shows packets to netfilter is a default of the kernel's, and
 * neither side's cost.
 */
export function substrate(cleanup: Cleanup): Lab {
  const lab = new Lab();
  cleanup(() => lab.dispose());
  linux.writeSysctlsIn(lab.substrate, { "net.bridge.bridge-nf-call-iptables": 0 });
  return lab;
}

/** What the agent chooses unless told otherwise. */
export const AS_AGENT = { attach: "clsact" } as const;

/** Our hosts, their real programs: rules and meters on. */
export function plenumSide(lab: Lab): Side {
  const hosts = [lab.host("h1", "198.18.0.1", AS_AGENT), lab.host("h2", "198.18.0.2", AS_AGENT)] as const;
  const client = lab.openGuest(hosts[0], "10.0.0.1", {}, RULES);
  const server = lab.openGuest(hosts[1], "10.0.0.2", {}, RULES);
  return {
    ...{ name: "plenum", client: client.path, server: server.path, address: server.address },
    namespaces: { client: client.path, h1: hosts[0].path, substrate: lab.substrate, h2: hosts[1].path, server: server.path },
    numberedDrops: () => Object.assign({}, ...hosts.map(dropsOfHost)) as Drops,
  };
}

function dropsOfHost(host: LabHost): Drops {
  return Object.fromEntries(
    host.datapath.readDrops().map(({ wireId, reasonName, packets }) => [`${host.name}.${wireId}.${reasonName}`, Number(packets)]),
  );
}

/** The kernel's own parts on the same substrate: bridge, VXLAN, nftables with connection tracking and a counter per guest and direction. */
export function kernelSide(lab: Lab, namespaces: Namespaces): Side {
  const addresses = ["198.18.0.3", "198.18.0.4"] as const;
  const hosts = [lab.machine("k1", addresses[0]), lab.machine("k2", addresses[1])] as const;
  const guests = [1, 2].map((n) => ({ path: namespaces.make(`kg${n}`), address: `10.0.0.${n}` }));
  hosts.forEach((host, i) => {
    const guest = guests[i]!;
    ipIn(host, `link add br0 mtu ${MTU} up type bridge`);
    // No checksum in the outer header and do-not-fragment: as our programs send.
    const tunnel = `id 700 dstport 4789 local ${addresses[i]} remote ${addresses[1 - i]} dev u0 nolearning noudpcsum df set ttl 64`;
    ipIn(host, `link add vx0 mtu ${MTU} up master br0 type vxlan ${tunnel}`);
    ipIn(host, `link add g1 mtu ${MTU} up master br0 type veth peer name eth0 mtu ${MTU} netns ${nameOf(guest.path)}`);
    ipIn(guest.path, `addr add ${guest.address}/24 dev eth0`);
    ipIn(guest.path, "link set eth0 up");
    loadRules(host, guest.address, RULES);
  });
  const [client, server] = guests as [(typeof guests)[0], (typeof guests)[0]];
  return {
    ...{ name: "bridge+vxlan+nftables", client: client.path, server: server.path, address: server.address },
    namespaces: { client: client.path, k1: hosts[0], substrate: lab.substrate, k2: hosts[1], server: server.path },
    numberedDrops: () => ({}),
  };
}

/** One veth between two guests: no network at all. */
export function vethSide(namespaces: Namespaces): Side {
  const client = namespaces.make("vc");
  const server = namespaces.make("vs");
  ipIn(client, `link add eth0 mtu ${MTU} type veth peer name eth0 mtu ${MTU} netns ${nameOf(server)}`);
  for (const [path, address] of [
    [client, "10.0.0.1"],
    [server, "10.0.0.2"],
  ] as const) {
    ipIn(path, `addr add ${address}/24 dev eth0`);
    ipIn(path, "link set eth0 up");
  }
  return { name: "plain veth", client, server, address: "10.0.0.2", namespaces: { client, server }, numberedDrops: () => ({}) };
}
