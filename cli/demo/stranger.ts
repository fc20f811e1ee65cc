import { closeSync, openSync } from "node:fs";
import {
  addAddress,
  createNamedNamespace,
  createVeth,
  deleteNamedNamespace,
  getLink,
  namespacePath,
  setLink,
  withNetlink,
} from "#lib/linux/index.ts";
import type { Cluster } from "../up/cluster.ts";

/** A machine on the substrate that is no host of the installation: it joined nothing and nobody knows its address. */
export function addressOnSubstrate(cluster: Cluster, address = "198.18.0.200"): { netns: string; address: string; remove(): void } {
  const name = `${cluster.runName}-stranger`; // the run's prefix: swept with the run if we die here
  const path = createNamedNamespace(name);
  const fd = openSync(path, "r");
  try {
    withNetlink(cluster.cpNetns, (nl) => {
      createVeth(nl, {
        name: "stranger",
        mac: "02:00:00:00:01:c8",
        mtu: 1500,
        peer: { name: "sub0", mac: "02:00:00:00:02:c8", namespaceFd: fd },
      });
      setLink(nl, getLink(nl, "stranger")!.ifindex, { master: getLink(nl, "sub0")!.ifindex, up: true });
    });
    withNetlink(path, (nl) => {
      const device = getLink(nl, "sub0")!.ifindex;
      setLink(nl, device, { up: true });
      addAddress(nl, device, `${address}/24`);
    });
  } finally {
    closeSync(fd);
  }
  return { netns: namespacePath(name), address, remove: () => deleteNamedNamespace(name) };
}
