import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import * as linux from "../index.ts";
import type { Leftover } from "./leftovers.ts";

/** Waits for its parent's end, then undoes what the journal (first argument) names. See leftovers.ts. */
function undo(leftover: Leftover): void {
  switch (leftover.kind) {
    case "namespaces":
      return wipeNamespaces(leftover.prefix);
    case "mount":
      return linux.unmount(leftover.dir);
    case "directory":
      return rmSync(leftover.dir, { recursive: true, force: true });
  }
}

function wipeNamespaces(prefix: string): void {
  if (prefix.length < 6) throw new RangeError(`too short to be one run's own: ${prefix}`);
  for (const name of linux.listNamedNamespaces().filter((each) => each.startsWith(prefix))) {
    if (linux.namespaceExists(name)) {
      const inside = linux.withNamespace(linux.namespacePath(name), () => readlinkSync(linux.OWN_NAMESPACE));
      for (const pid of processesIn(inside)) process.kill(pid, "SIGKILL");
    }
    linux.deleteNamedNamespace(name);
  }
}

function processesIn(namespace: string): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`) === namespace;
      } catch (error) {
        // Gone since it was listed, or init's, which is closed to us in a container.
        if (linux.hasCode(error, "ENOENT", "ESRCH", "EACCES")) return false;
        throw error;
      }
    })
    .map(Number);
}

const [journal = ""] = process.argv.slice(2);
process.stdin.resume();
process.stdin.once("close", () => {
  const leftovers = readFileSync(journal, "utf8").split("\n").filter(Boolean).reverse();
  for (const line of leftovers) {
    try {
      undo(JSON.parse(line) as Leftover);
    } catch (error) {
      process.stderr.write(`left behind by an interrupted test: ${line}: ${String(error)}\n`);
    }
  }
});
