#!/usr/bin/env node
// `plenum` on any Node: the work is done by cli/main.ts, under the Node that the lockfile names.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

// Stripped and compiled once, not at each start. In the checkout, not in a directory that others may write to: it is code.
const cache = fileURLToPath(new URL("../../build/compile-cache", import.meta.url));
const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const locked = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= 24) {
  const { enableCompileCache } = await import("node:module");
  enableCompileCache(cache);
  await import(main);
} else if (!existsSync(locked)) {
  process.stderr.write("plenum: the packages of this checkout are not installed\n  remedy: run `npm ci` in it (or `npm run demo`)\n");
  process.exitCode = 1;
} else {
  const child = spawn(locked, [main, ...process.argv.slice(2)], { stdio: "inherit", env: { NODE_COMPILE_CACHE: cache, ...process.env } });
  // A terminal's Ctrl-C reaches both of us: the child decides what it means. A kill reaches only us: pass it on.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}
