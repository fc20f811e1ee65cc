import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import type { Endpoint, Mapping, Rule } from "../../../core/ports.ts";
import { putMappings } from "../../../testing/mapping-batches.ts";
import { openDatapath, type BpfDatapath, type DatapathOptions } from "../index.ts";

/**
 * Hosts and guests of a test: namespaces joined by veth, the real programs between them. Names and directories are this run's own;
 * `dispose` leaves nothing behind, and an interrupted run neither.
 */

export const GATEWAY_MAC = "06:00:00:00:ff:ff";
export const TUNNEL = "plenum0";
export const GUEST_DEVICE = "eth0";
export const GUEST_MTU = 1450;

const everything = { protocol: 0, portFrom: 0, portTo: 65535, peerCidr: "0.0.0.0/0" };
export const ALLOW_ALL: readonly Rule[] = [
  { direction: "ingress", ...everything },
  { direction: "egress", ...everything },
];

/** One direction of it. */
export const ALLOW = { ingress: ALLOW_ALL.slice(0, 1), egress: ALLOW_ALL.slice(1) } as const;

export interface LabHost {
  name: string;
  /** Path of its namespace. */
  path: string;
  address: string;
  options: DatapathOptions;
  datapath: BpfDatapath;
}

export interface LabGuest {
  path: string;
  host: LabHost;
  endpoint: Endpoint;
  /** Name of the host-side device. */
  hostDevice: string;
  address: string;
}

export class Lab {
  readonly #prefix = `pld${process.pid}${randomBytes(2).toString("hex")}`;
  readonly #names: string[] = [];
  readonly #hosts: LabHost[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), "plenum-datapath-"));
  readonly bpffs = join(this.#directory, "bpf");
  readonly substrate: string;
  #guests = 0;

  constructor() {
    willLeave({ kind: "namespaces", prefix: this.#prefix });
    willLeave({ kind: "directory", dir: this.#directory }, { kind: "mount", dir: this.bpffs });
    linux.mountBpffs(this.bpffs);
    this.substrate = this.#namespace("net");
    linux.withNetlink(this.substrate, (nl) => {
      linux.createBridge(nl, "br0");
      linux.setLink(nl, indexOf(nl, "br0"), { up: true });
    });
  }

  #namespace(what: string): string {
    const name = `${this.#prefix}-${what}`;
    const path = linux.createNamedNamespace(name);
    this.#names.push(name);
    linux.writeSysctlsIn(path, { "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 });
    return path;
  }

  /** A namespace on the substrate without any datapath: a stranger, or a host to be. */
  machine(name: string, address: string): string {
    const path = this.#namespace(name);
    const peer = openSync(path, "r");
    try {
      linux.withNetlink(this.substrate, (nl) => {
        const mac = `06:01:00:00:00:${(this.#names.length & 0xff).toString(16).padStart(2, "0")}`;
        const up = { name: "u0", mac, namespaceFd: peer };
        linux.createVeth(nl, { name, mac: mac.replace(/^06:01/, "06:02"), mtu: 1500, peer: up });
        linux.setLink(nl, indexOf(nl, name), { up: true, master: indexOf(nl, "br0") });
      });
    } finally {
      closeSync(peer);
    }
    linux.withNetlink(path, (nl) => {
      linux.setLink(nl, indexOf(nl, "u0"), { up: true });
      linux.addAddress(nl, indexOf(nl, "u0"), `${address}/24`);
    });
    return path;
  }

  host(name: string, address: string, options: Partial<DatapathOptions> = {}): LabHost {
    const path = this.machine(name, address);
    const tunnelIfindex = linux.withNetlink(path, (nl) => {
      linux.createVxlanExternal(nl, TUNNEL);
      linux.setLink(nl, indexOf(nl, TUNNEL), { up: true, mtu: GUEST_MTU });
      return indexOf(nl, TUNNEL);
    });
    const bpffsDir = join(this.bpffs, name);
    mkdirSync(bpffsDir);
    const all = { bpffsDir, hostAddress: address, tunnelIfindex, ...options };
    const host = { name, path, address, options: all, datapath: openIn(path, all) };
    this.#hosts.push(host);
    return host;
  }

  /** Ends the agent's part and starts it again. */
  reopen(host: LabHost, options: Partial<DatapathOptions> = {}): void {
    host.datapath.close();
    host.options = { ...host.options, ...options };
    host.datapath = openIn(host.path, host.options);
  }

  /** A namespace with one interface: device up and guarded, endpoint not put yet. Wire and meter ids are new. */
  guest(host: LabHost, address: string, changes: Partial<Endpoint> = {}): LabGuest {
    const wireId = 0x1000 + ++this.#guests;
    const guestMac = `06:00:00:00:00:${this.#guests.toString(16).padStart(2, "0")}`;
    const hostDevice = `g${this.#guests}`;
    const path = this.#namespace(hostDevice);
    const peer = openSync(path, "r");
    const ifindex = linux.withNetlink(host.path, (nl) => {
      const inside = { name: GUEST_DEVICE, mac: guestMac, namespaceFd: peer };
      linux.createVeth(nl, { name: hostDevice, mac: `06:03:00:00:00:${guestMac.slice(-2)}`, mtu: GUEST_MTU, peer: inside });
      return indexOf(nl, hostDevice);
    });
    closeSync(peer);
    linux.withNamespace(host.path, () => host.datapath.guardDevice(ifindex));
    linux.withNetlink(host.path, (nl) => linux.setLink(nl, ifindex, { up: true }));
    linux.withNetlink(path, (nl) => {
      linux.setLink(nl, indexOf(nl, GUEST_DEVICE), { up: true });
      linux.addAddress(nl, indexOf(nl, GUEST_DEVICE), `${address}/24`);
    });
    for (const end of [path, host.path]) untilRunning(end, end === path ? GUEST_DEVICE : hostDevice);
    const endpoint: Endpoint = {
      ...{ wireId, vni: 700, addresses: [address], guestMac, gatewayMac: GATEWAY_MAC, ifindex, device: "veth", guestMtu: GUEST_MTU },
      ...{ rulesetId: wireId, groupSetId: 0xa0b0c0d0, meterId: BigInt(wireId), sourceDestCheck: true, disabled: false },
      ...changes,
    };
    return { path, host, endpoint, hostDevice, address };
  }

  /** A guest whose endpoint is open with these rules, and known to all hosts. */
  openGuest(host: LabHost, address: string, changes: Partial<Endpoint> = {}, rules: readonly Rule[] = ALLOW_ALL): LabGuest {
    const guest = this.guest(host, address, changes);
    host.datapath.putRuleset({ id: guest.endpoint.rulesetId, rules });
    host.datapath.putMeter(guest.endpoint);
    host.datapath.putEndpoint(guest.endpoint);
    this.announce(mappingOf(guest));
    return guest;
  }

  announce(...mappings: Mapping[]): void {
    for (const { datapath } of this.#hosts) putMappings(datapath, mappings);
  }

  dispose(): void {
    for (const { datapath } of this.#hosts) datapath.close();
    for (const name of this.#names) linux.deleteNamedNamespace(name);
    linux.unmount(this.bpffs);
    rmSync(this.#directory, { recursive: true });
  }
}

export function mappingOf({ endpoint, host, address }: LabGuest): Mapping {
  const { vni, wireId, groupSetId } = endpoint;
  return { vni, prefix: `${address}/32`, hostAddress: host.address, wireId, groupSetId };
}

export function openIn(path: string, options: DatapathOptions): BpfDatapath {
  return linux.withNamespace(path, () => openDatapath(options));
}

function indexOf(nl: linux.NetlinkSocket, device: string): number {
  const link = linux.getLink(nl, device);
  if (link === undefined) throw new Error(`no device ${device}`);
  return link.ifindex;
}

const IFF_RUNNING = 0x40;

/** The kernel opens a device's queue some time after it got its carrier; until then what is sent out of it is lost. */
function untilRunning(path: string, device: string): void {
  const deadline = performance.now() + 5000;
  linux.withNetlink(path, (nl) => {
    while (((linux.getLink(nl, device)?.flags ?? 0) & IFF_RUNNING) === 0)
      if (performance.now() > deadline) throw new Error(`${device} does not come up`);
  });
}

/** Numbered drops of one interface (0: the host), by name. */
export function dropsOf(host: LabHost, wireId: number): Record<string, bigint> {
  return Object.fromEntries(
    host.datapath
      .readDrops()
      .filter((d) => d.wireId === wireId)
      .map((d) => [d.reasonName, d.packets]),
  );
}
