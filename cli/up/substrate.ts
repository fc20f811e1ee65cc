import { closeSync, openSync } from "node:fs";
import {
  addAddress,
  createBridge,
  createNamedNamespace,
  createVeth,
  getLink,
  namespacePath,
  setLink,
  withNetlink,
} from "#lib/linux/index.ts";
import type { NetlinkSocket } from "#lib/linux/index.ts";
import { CONTROL_PLANE_ADDRESS, SUBSTRATE_LENGTH } from "./layout.ts";
import type { HostPlan, Layout } from "./layout.ts";

const BRIDGE = "sub0";

/**
 * The network under the hosts: a bridge in the control plane's namespace, one cable from it to each host's namespace. Nothing of it is
 * in the root namespace, and nothing of it leads out.
 */
export function makeSubstrate(plan: Layout, mtu: number): void {
  const path = createNamedNamespace(plan.controlPlaneNamespace);
  withNetlink(path, (nl) => {
    createBridge(nl, BRIDGE);
    setLink(nl, indexOf(nl, BRIDGE), { mtu, up: true });
    addAddress(nl, indexOf(nl, BRIDGE), `${CONTROL_PLANE_ADDRESS}/${SUBSTRATE_LENGTH}`);
    for (const host of plan.hosts) connectHost(nl, host, mtu);
  });
}

function connectHost(nl: NetlinkSocket, host: HostPlan, mtu: number): void {
  const path = createNamedNamespace(host.namespace);
  const namespace = openSync(path, "r");
  const last = Number(host.address.split(".")[3]);
  const mac = (side: number): string => `02:00:00:00:0${side}:${last.toString(16).padStart(2, "0")}`;
  try {
    createVeth(nl, { name: host.name, mac: mac(1), mtu, peer: { name: host.device, mac: mac(2), namespaceFd: namespace } });
  } finally {
    closeSync(namespace);
  }
  setLink(nl, indexOf(nl, host.name), { master: indexOf(nl, BRIDGE), up: true });
  withNetlink(namespacePath(host.namespace), (inside) => {
    setLink(inside, indexOf(inside, host.device), { up: true });
    addAddress(inside, indexOf(inside, host.device), `${host.address}/${SUBSTRATE_LENGTH}`);
  });
}

function indexOf(nl: NetlinkSocket, name: string): number {
  const link = getLink(nl, name);
  if (link === undefined) throw new Error(`device ${name} is gone`);
  return link.ifindex;
}
