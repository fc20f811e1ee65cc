import { existsSync } from "node:fs";
import * as linux from "#lib/linux/index.ts";
import type { DeviceSpec } from "../../core/ports.ts";
import { guestDeviceName } from "./device-name.ts";
import { type GuestPlan, guestPlan, guestTable, routeKey, ruleKey } from "./guest-plan.ts";

/**
 * Sysctls of the guest's device; the calling thread must be in the guest's namespace. Without an IPv6 address the protocol is off, so
 * that a guest sends no router solicitations that the data plane would only count as drops; IPv6 comes with a later issue.
 */
export function quietGuestDevice(spec: DeviceSpec): void {
  const name = guestDeviceName(spec.deviceIndex);
  // Each interface asks for and answers to its own addresses only: the data plane holds a guest to them (D11).
  linux.writeSysctl(`net.ipv4.conf.${name}.arp_announce`, 2);
  linux.writeSysctl(`net.ipv4.conf.${name}.arp_ignore`, 1);
  quietIpv6(name, !spec.addresses.some((address) => address.includes(":")));
}

/**
 * Closes the host's own stack to what arrives on one of our devices, so that nothing passes where our program does not run on it. What is
 * sent to the router bears the MAC of nobody and is not taken; nor is what is sent to all, unless it is for all at IP level too. Any source
 * but 0.0.0.0 is refused (the device has no address, so none is reached through it), which refuses forwarding too, ARP is answered for
 * nothing, and IPv6 is off. In the calling thread's namespace, before the device is up.
 */
export function closeToHost(name: string): void {
  linux.writeSysctl(`net.ipv4.conf.${name}.drop_unicast_in_l2_multicast`, 1);
  linux.writeSysctl(`net.ipv4.conf.${name}.rp_filter`, 1);
  linux.writeSysctl(`net.ipv4.conf.${name}.arp_ignore`, 8);
  quietIpv6(name, true);
}

/** In the calling thread's namespace. A kernel without IPv6, or a device too short for it, needs none of it. */
export function quietIpv6(name: string, off: boolean): void {
  if (!existsSync(`/proc/sys/net/ipv6/conf/${name}`)) return;
  if (!off) {
    linux.writeSysctl(`net.ipv6.conf.${name}.accept_ra`, 0);
    linux.writeSysctl(`net.ipv6.conf.${name}.dad_transmits`, 0);
  }
  linux.writeSysctl(`net.ipv6.conf.${name}.disable_ipv6`, off ? 1 : 0);
}

/** The guest's end of a pair. */
export interface GuestEnd {
  ifindex: number;
  mtu: number;
  up: boolean;
  /** It takes packets. */
  running: boolean;
  /** Made a moment ago: it has no address and no route, so none is looked for. */
  fresh: boolean;
}

/**
 * Makes the guest's side of one device what the specification says: up, addresses, routes, rules. What is right is not touched,
 * so that repeating it disturbs no traffic; what a former specification left is taken away.
 *
 * @param nl speaks to the guest's namespace
 */
export function configureGuest(nl: linux.NetlinkSocket, link: GuestEnd, spec: DeviceSpec): void {
  const plan = guestPlan(spec);
  if (!link.up) linux.setLink(nl, link.ifindex, { up: true });
  if (link.fresh) {
    for (const prefix of plan.addresses) linux.addAddress(nl, link.ifindex, prefix);
    for (const route of plan.routes) linux.putRoute(nl, { ...route, ifindex: link.ifindex });
  } else {
    configureAddresses(nl, link.ifindex, plan);
    configureRoutes(nl, link.ifindex, plan);
  }
  configureRules(nl, plan);
}

function configureAddresses(nl: linux.NetlinkSocket, ifindex: number, plan: GuestPlan): void {
  const read = (): string[] => linux.getAddresses(nl, ifindex).map((address) => address.prefix);
  const addMissing = (present: readonly string[]): void => {
    for (const prefix of plan.addresses) if (!present.includes(prefix)) linux.addAddress(nl, ifindex, prefix);
  };
  const present = read();
  addMissing(present);
  const surplus = present.filter((prefix) => !plan.addresses.includes(prefix) && !prefix.startsWith("fe80:"));
  if (surplus.length === 0) return;
  for (const prefix of surplus) linux.deleteAddress(nl, ifindex, prefix);
  // With a subnet's primary address the kernel drops its others too.
  addMissing(read());
}

function configureRoutes(nl: linux.NetlinkSocket, ifindex: number, plan: GuestPlan): void {
  const wanted = new Set(plan.routes.map(routeKey));
  const present = linux.getOwnRoutes(nl).filter((route) => route.ifindex === ifindex);
  const presentKeys = new Set(present.map(routeKey));
  for (const route of plan.routes) {
    if (!presentKeys.has(routeKey(route))) linux.putRoute(nl, { ...route, ifindex });
  }
  const destinations = new Set(plan.routes.map((route) => `${route.table} ${route.to}`));
  for (const route of present) {
    // One with a wanted destination has just been replaced, not left over.
    if (!wanted.has(routeKey(route)) && !destinations.has(`${route.table} ${route.to}`)) linux.deleteRoute(nl, route);
  }
}

function configureRules(nl: linux.NetlinkSocket, plan: GuestPlan): void {
  const wanted = new Set(plan.rules.map(ruleKey));
  const present = linux.getOwnRules(nl).filter((rule) => rule.table === plan.table);
  const presentKeys = new Set(present.map(ruleKey));
  for (const rule of plan.rules) {
    if (!presentKeys.has(ruleKey(rule))) linux.addRule(nl, rule);
  }
  for (const rule of present) {
    if (!wanted.has(ruleKey(rule))) linux.deleteRule(nl, rule);
  }
}

/** The rules outlive their device, unlike its addresses and routes. */
export function forgetGuest(nl: linux.NetlinkSocket, deviceIndex: number): void {
  for (const rule of linux.getOwnRules(nl)) {
    if (rule.table === guestTable(deviceIndex)) linux.deleteRule(nl, rule);
  }
}
