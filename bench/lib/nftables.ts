import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as linux from "#lib/linux/index.ts";
import type { Rule } from "../../host-agent/core/ports.ts";
import { runNow } from "./process.ts";

const PROTOCOLS: Record<number, string> = { 1: "icmp", 6: "tcp", 17: "udp" };

/**
 * The rules of one guest on a bridge in this namespace. The hook is that of routed packets, which the bridge calls for bridged ones too:
 * the way that connection tracking reaches a bridge on kernels without nf_conntrack_bridge.
 * @throws Error where the kernel does not call it (no br_netfilter)
 */
export function loadRules(netns: string, address: string, rules: readonly Rule[]): void {
  linux.writeSysctlsIn(netns, { "net.bridge.bridge-nf-call-iptables": 1 });
  const lines = (direction: Rule["direction"]): string =>
    rules
      .filter((rule) => rule.direction === direction)
      .map((rule) => `    ${ruleText(rule)} accept\n`)
      .join("");
  const text = `table ip guests {
  counter egress_1 {}
  counter ingress_1 {}
  chain egress_rules {
${lines("egress")}    drop
  }
  chain ingress_rules {
${lines("ingress")}    drop
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ip saddr ${address} counter name egress_1
    ip daddr ${address} counter name ingress_1
    ct state established,related accept
    ct state invalid drop
    ip saddr ${address} jump egress_rules
    ip daddr ${address} jump ingress_rules
  }
}
`;
  const directory = mkdtempSync(join(tmpdir(), "plenum-bench-"));
  try {
    writeFileSync(join(directory, "rules"), text);
    runNow("nsenter", `--net=${netns}`, "--", "nft", "-f", join(directory, "rules"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Packets that the guest's rules saw, both directions: none means that the peer does not filter. */
export function judgedPackets(netns: string): number {
  const text = runNow("nsenter", `--net=${netns}`, "--", "nft", "list", "counters");
  return [...text.matchAll(/packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
}

function ruleText(rule: Rule): string {
  if (!("peerCidr" in rule)) throw new Error("the peer's rules are by block: it knows no groups");
  const side = rule.direction === "ingress" ? "saddr" : "daddr";
  const name = PROTOCOLS[rule.protocol] ?? String(rule.protocol);
  const ports = rule.protocol === 1 ? "meta l4proto icmp" : `${name} dport ${rule.portFrom}-${rule.portTo}`;
  return `ip ${side} ${rule.peerCidr} ${ports}`;
}
