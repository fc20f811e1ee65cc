import { readFileSync, writeFileSync } from "node:fs";
import { withNamespace } from "./namespace.ts";

// /proc/sys/net shows the namespace of the thread that opens the file, so entering is enough: no mount, no fork.

/** Dots separate, as in sysctl(8); a device name with a dot is written with a slash ("net.ipv4.conf.eth0/7.rp_filter"). */
function file(key: string): string {
  if (!key.startsWith("net.") || key.includes("..")) throw new RangeError(`not a network sysctl: ${key}`);
  return `/proc/sys/${key.replace(/[./]/g, (c) => (c === "." ? "/" : "."))}`;
}

/** In the calling thread's namespace. @throws Node's system error (ENOENT: the kernel has no such key; EINVAL: refused) */
export function writeSysctl(key: string, value: string | number): void {
  writeFileSync(file(key), String(value));
}

/** In the calling thread's namespace; without the newline. */
export function readSysctl(key: string): string {
  return readFileSync(file(key), "utf8").trim();
}

/** Writes each key of `values` inside the namespace at `path`. */
export function writeSysctlsIn(path: string, values: Readonly<Record<string, string | number>>): void {
  withNamespace(path, () => {
    for (const [key, value] of Object.entries(values)) writeSysctl(key, value);
  });
}
