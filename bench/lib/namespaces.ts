import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { runNow } from "./process.ts";
import type { Cleanup } from "./run.ts";

/** Network namespaces of one run, without IPv6 (its own chatter would be measured too). */
export class Namespaces {
  readonly #prefix = `plb${process.pid}${randomBytes(2).toString("hex")}`;
  readonly #names: string[] = [];

  constructor(cleanup: Cleanup) {
    willLeave({ kind: "namespaces", prefix: this.#prefix });
    cleanup(() => this.#names.splice(0).forEach((name) => linux.deleteNamedNamespace(name)));
  }

  /** Path of a new one. */
  make(what: string): string {
    const name = `${this.#prefix}-${what}`;
    const path = linux.createNamedNamespace(name);
    this.#names.push(name);
    linux.writeSysctlsIn(path, { "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 });
    return path;
  }
}

/** `ip` in a namespace, for what is not timed. `{peer}` style names of namespaces are what `nameOf` gives. */
export function ipIn(netns: string, command: string): void {
  runNow("ip", "-n", nameOf(netns), ...command.split(" "));
}

/** Name of a namespace as `ip netns` has it. */
export function nameOf(netns: string): string {
  return basename(netns);
}
