import { randomInt } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import * as linux from "#lib/linux/index.ts";
import type { Device, Devices, DeviceSpec, FoundDevice } from "../../core/ports.ts";
import { aliasOf, guestDeviceName, hostDeviceName, ownerOf, wireIdOf } from "./device-name.ts";
import { closeToHost, configureGuest, forgetGuest, quietGuestDevice } from "./guest-network.ts";
import type { GuestEnd } from "./guest-network.ts";
import { nobodysMac } from "./nobodys-mac.ts";
import { awaitRunning } from "./running.ts";

/** Numbers of groups that nobody would choose by hand. */
const FIRST_GROUP = 2 ** 24;
const LAST_GROUP = 2 ** 31;

export interface VethDevicesOptions {
  /** Path of an instance's network namespace, from its id. */
  netnsPath: (instanceId: string) => string;
  /** Path of the host's namespace; the calling thread's own if absent. `guard` is called inside it. */
  hostNamespace?: string;
}

/**
 * Guest devices as veth pairs, configured by netlink. Keeps nothing in memory: names and aliases in the kernel say what there is, so a
 * restarted agent sees what its predecessor made. A half-made pair (no alias yet) or one whose guest side was deleted, moved or
 * renamed (D24) is made anew.
 */
export class VethDevices implements Devices {
  readonly #netnsPath: (instanceId: string) => string;
  readonly #hostNamespace: string;

  constructor(options: VethDevicesOptions) {
    this.#netnsPath = options.netnsPath;
    this.#hostNamespace = options.hostNamespace ?? linux.OWN_NAMESPACE;
  }

  /**
   * @throws ENOENT if the instance has no namespace; Error if another attachment holds the same device of the instance, or an end was set
   *   down again or takes no packets yet; RangeError for ids and addresses that are none; what `guard` throws (the device then stays down)
   */
  ensure(spec: DeviceSpec, guard: (ifindex: number) => void): Device {
    const guestPath = this.#netnsPath(spec.instanceId);
    return linux.withNetlink(this.#hostNamespace, (host) => {
      const { link, peer } = this.#create(host, guestPath, spec) ?? this.#presentOrAnew(host, guestPath, spec);
      // First: one too short for IPv6 or IPv4 has no settings of it, and gets fresh ones when it is long enough again.
      if (link.mtu !== spec.guestMtu) linux.setLink(host, link.ifindex, { mtu: spec.guestMtu });
      // Of an agent from before: what a guest sends to its router is for nobody here, or the host's own stack would take it (closeToHost).
      if (link.mac === spec.gatewayMac.toLowerCase()) linux.setLink(host, link.ifindex, { mac: nobodysMac() });
      linux.withNamespace(this.#hostNamespace, () => {
        guard(link.ifindex);
        closeToHost(link.name);
      });
      if (!link.up) linux.setLink(host, link.ifindex, { up: true });
      linux.withNamespace(guestPath, () => {
        linux.withNetlink(undefined, (guest) => {
          if (peer.mtu !== spec.guestMtu) linux.setLink(guest, peer.ifindex, { mtu: spec.guestMtu });
          quietGuestDevice(spec);
          configureGuest(guest, peer, spec);
          if (!peer.running) awaitRunning(guest, peer.ifindex);
        });
      });
      if (!link.running) awaitRunning(host, link.ifindex);
      return { wireId: spec.wireId, instanceId: spec.instanceId, ifindex: link.ifindex };
    });
  }

  /** The kernel waits for each request until nobody uses what it takes away (tens of milliseconds): many go with one, as a group. */
  remove(wireIds: readonly number[]): void {
    const links = linux.withNetlink(this.#hostNamespace, (nl) => {
      const there = wireIds.flatMap((wireId) => linux.getLink(nl, hostDeviceName(wireId)) ?? []);
      const [only] = there;
      if (there.length === 1 && only !== undefined) linux.deleteLink(nl, only.ifindex);
      else if (there.length > 1) {
        // Another number each time: what a request that was interrupted has left in a group is not taken for this one's.
        const group = randomInt(FIRST_GROUP, LAST_GROUP);
        for (const link of there) linux.setLink(nl, link.ifindex, { group });
        linux.deleteGroup(nl, group);
      }
      return there;
    });
    const failures: unknown[] = [];
    for (const owner of links.flatMap((link) => ownerOf(link.alias) ?? [])) {
      const guestPath = this.#netnsPath(owner.instanceId);
      try {
        if (existsSync(guestPath)) linux.withNetlink(guestPath, (nl) => forgetGuest(nl, owner.deviceIndex));
      } catch (error) {
        failures.push(error); // its links are gone, and so would be what leads to the others' rules
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** A pair that was interrupted half-made has the instance id "". */
  list(): FoundDevice[] {
    return linux
      .withNetlink(this.#hostNamespace, (nl) => linux.getLinks(nl))
      .flatMap((link) => {
        const wireId = wireIdOf(link.name);
        return wireId === undefined || link.kind !== "veth"
          ? []
          : { wireId, instanceId: ownerOf(link.alias)?.instanceId ?? "", ifindex: link.ifindex, up: link.carrier, mtu: link.mtu };
      });
  }

  /** Where a name is taken: by the pair that is wanted, or by what has to go. */
  #presentOrAnew(host: linux.NetlinkSocket, guestPath: string, spec: DeviceSpec): Pair {
    return linux.withNetlink(guestPath, (guest) => {
      const present = this.#present(host, guest, spec);
      if (present !== undefined) return present;
      this.#freeGuestName(host, guest, spec);
      const made = this.#create(host, guestPath, spec);
      if (made === undefined) throw new Error(`the names of ${hostDeviceName(spec.wireId)} were taken while it was being made`);
      return made;
    });
  }

  /** Both ends of the pair, if it exists and is the one wanted; what stands in its place is deleted. */
  #present(host: linux.NetlinkSocket, guest: linux.NetlinkSocket, spec: DeviceSpec): Pair | undefined {
    const link = linux.getLink(host, hostDeviceName(spec.wireId));
    if (link === undefined) return undefined;
    const peer = link.peerIfindex === 0 ? undefined : linux.getLink(guest, link.peerIfindex);
    const right =
      link.kind === "veth" &&
      link.alias === aliasOf(spec) &&
      peer !== undefined &&
      peer.kind === "veth" &&
      peer.peerIfindex === link.ifindex &&
      peer.name === guestDeviceName(spec.deviceIndex) &&
      peer.mac === spec.guestMac.toLowerCase();
    if (right) return { link, peer: { ...peer, fresh: false } };
    linux.deleteLink(host, link.ifindex);
    return undefined;
  }

  /** A new pair. Undefined: one of its names is taken. Tried before anything is looked at: nearly always there is nothing. */
  #create(host: linux.NetlinkSocket, guestPath: string, spec: DeviceSpec): Pair | undefined {
    const name = hostDeviceName(spec.wireId);
    const { guestMac: mac, guestMtu: mtu } = spec;
    const namespaceFd = openSync(guestPath, "r");
    try {
      const peer = { name: guestDeviceName(spec.deviceIndex), mac, namespaceFd };
      linux.createVeth(host, { name, mac: nobodysMac(), mtu, peer });
    } catch (error) {
      if (linux.hasCode(error, "EEXIST")) return undefined;
      throw error;
    } finally {
      closeSync(namespaceFd);
    }
    const link = linux.getLink(host, name);
    if (link === undefined) throw new Error(`${name} vanished while it was being made`);
    linux.setLink(host, link.ifindex, { alias: aliasOf(spec) });
    return { link, peer: { ifindex: link.peerIfindex, mtu, up: false, running: false, fresh: true } };
  }

  /** A guest that plays root may have put something of its own where our device belongs; another attachment's device is no such thing. */
  #freeGuestName(host: linux.NetlinkSocket, guest: linux.NetlinkSocket, spec: DeviceSpec): void {
    const guestName = guestDeviceName(spec.deviceIndex);
    const alias = aliasOf(spec);
    if (linux.getLink(guest, guestName) === undefined) return;
    const other = linux.getLinks(host).find((link) => link.alias === alias && wireIdOf(link.name) !== undefined);
    if (other !== undefined) throw new Error(`${guestName} of the instance (${alias}) belongs to ${other.name}: remove that first`);
    linux.deleteLink(guest, guestName);
  }
}

interface Pair {
  link: linux.Link;
  peer: GuestEnd;
}
