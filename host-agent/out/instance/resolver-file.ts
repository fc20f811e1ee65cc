import { closeSync, fchmodSync, openSync, writeSync } from "node:fs";
import { textOf } from "#lib/linux/index.ts";

/** Where the C library looks. */
export const RESOLVER_FILE = "/etc/resolv.conf";

/** More than 15 interfaces with 4 servers each need. */
const FILE_BYTES = 2_048;

/** `nameserver` lines in the given order (the C library asks the first three), filled with empty lines to a fixed length. */
export function resolverText(servers: readonly string[]): string {
  const text = [
    "# DNS servers of this instance's interfaces, kept by its host.",
    ...servers.map((server) => `nameserver ${server}`),
    "",
  ].join("\n");
  if (text.length > FILE_BYTES) throw new RangeError(`${servers.length} DNS servers are more than ${FILE_BYTES} bytes hold`);
  return text.padEnd(FILE_BYTES, "\n");
}

/**
 * Processes have this very file mounted, so it is written in place: another one under its name would not be theirs. Always the same length
 * and within a page, in one write: a reader gets the old text or the new one, and never an empty file.
 */
export function writeResolverFile(path: string, servers: readonly string[]): void {
  const text = resolverText(servers);
  const before = textOf(path);
  if (before === text) return;
  const file = openSync(path, before === undefined ? "w" : "r+", 0o644);
  try {
    fchmodSync(file, 0o644); // whatever the umask: the instance's user reads it
    writeSync(file, text, 0);
  } finally {
    closeSync(file);
  }
}
