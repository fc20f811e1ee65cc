import { isIPv4 } from "node:net";
import { networkText, prefixText, type Route, type Rule } from "#lib/linux/index.ts";
import type { DeviceSpec } from "../../core/ports.ts";
import { guestDeviceName } from "./device-name.ts";

/** Routing table of a guest's device = this + its index. Above the kernel's own 253..255. */
const FIRST_TABLE = 1000;
const MAIN_TABLE = 254;
/** Before the kernel's rule for the main table (32766). A socket's device says more than its address, so it is asked first. */
const OUT_DEVICE_PRIORITY = 1000;
const SOURCE_PRIORITY = 2000;

export type PlannedRoute = Omit<Route, "ifindex">;

/** What a guest's namespace must hold for one device. */
export interface GuestPlan {
  addresses: string[];
  routes: PlannedRoute[];
  rules: Rule[];
  table: number;
}

export function guestTable(deviceIndex: number): number {
  return FIRST_TABLE + deviceIndex;
}

/**
 * Routes that keep every interface symmetrical: what leaves with an interface's address, or from a socket bound to its device, leaves
 * through that interface, whatever the others' routes say (row N5). Device 0 also holds the default of the main table, for sockets
 * that have chosen nothing. Two interfaces with one address (two networks) can be told apart by the socket's device only.
 */
export function guestPlan(spec: DeviceSpec): GuestPlan {
  const table = guestTable(spec.deviceIndex);
  const all = spec.addresses.map(prefixText);
  const routes: PlannedRoute[] = [];
  const rules: Rule[] = [];
  for (const family of [4, 6] as const) {
    const addresses = all.filter((address) => familyOf(address) === family);
    const primary = addresses[0]?.split("/")[0];
    if (primary === undefined) continue;
    rules.push({ outDevice: guestDeviceName(spec.deviceIndex), family, table, priority: OUT_DEVICE_PRIORITY + spec.deviceIndex });
    for (const address of addresses) {
      const [source = ""] = address.split("/");
      rules.push({ from: source, table, priority: SOURCE_PRIORITY + spec.deviceIndex });
      // Two addresses of one subnet share its route; the first is its source.
      const to = networkText(address);
      if (!routes.some((route) => route.to === to)) routes.push({ to, source, table });
    }
    const via = spec.gateways.find((gateway) => familyOf(gateway) === family);
    if (via === undefined) continue;
    const to = family === 4 ? "0.0.0.0/0" : "::/0";
    routes.push({ to, via, source: primary, table });
    if (spec.deviceIndex === 0) routes.push({ to, via, source: primary, table: MAIN_TABLE });
  }
  return { addresses: all, routes, rules, table };
}

function familyOf(address: string): 4 | 6 {
  return isIPv4(address.split("/")[0] ?? "") ? 4 : 6;
}

/** One text per route or rule, for comparing what is with what is wanted. */
export function routeKey({ to, via, source, table }: PlannedRoute): string {
  return [table ?? MAIN_TABLE, to, via ?? "", source ?? ""].join(" ");
}

export function ruleKey(rule: Rule): string {
  return [rule.table, rule.priority, "from" in rule ? rule.from : `${rule.outDevice} ${rule.family}`].join(" ");
}
