import { execFileSync } from "node:child_process";
import { closeSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { getLink, withNetlink } from "#lib/linux/index.ts";
import { check, objGet } from "../libbpf.ts";

const linkDetach = koffi.load("libbpf.so.1").func("int bpf_link_detach(int link)") as unknown as (link: number) => number;

/**
 * What an operator's hand may do: take our program off a device. Of clsact the filter alone, or the qdisc with all there is; of TCX the
 * link alone, or its pin too.
 */
export function takeProgram(namespace: string, bpffsDir: string, which: string | number, what: "filter" | "all"): void {
  const link = withNetlink(namespace, (nl) => getLink(nl, which));
  if (link === undefined) throw new Error(`no device ${which} in ${namespace}`);
  const links = join(bpffsDir, "links");
  const pin = readdirSync(links).find((name) => name === String(link.ifindex) || (name === "tunnel" && link.kind === "vxlan"));
  if (pin === undefined) {
    const kind = what === "all" ? ["qdisc", "del", "dev", link.name, "clsact"] : ["filter", "del", "dev", link.name, "ingress"];
    execFileSync("nsenter", [`--net=${namespace}`, "tc", ...kind]);
    return;
  }
  const fd = check(objGet(join(links, pin)), `open the pin ${pin}`);
  try {
    check(linkDetach(fd), `detach ${pin}`);
  } finally {
    closeSync(fd);
  }
  if (what === "all") rmSync(join(links, pin));
}
