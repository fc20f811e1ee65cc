import fs from "node:fs";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

// Loaded before a stand-in for the agent (node --import): the process ends by SIGKILL before the n-th thing that it changes in the kernel
// or in a bpffs, where n is PLENUM_KILL_AT. So a test can go through all places at which an agent may die.

let left = Number(process.env["PLENUM_KILL_AT"]);

function change(): void {
  if (--left === 0) process.kill(process.pid, "SIGKILL");
}

/** The same function, counted. */
export function counted<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    change();
    return call(...args);
  };
}

const CHANGES = [
  ...["mapCreate", "mapUpdate", "mapUpdateBatch", "mapDelete", "mapDeleteBatch", "objPin"],
  ...["linkCreate", "linkUpdate", "tcHookCreate", "tcAttach", "testRun", "objectLoad"],
];

registerHooks({
  load(url, context, next) {
    if (!url.endsWith("/out/datapath/libbpf.ts")) return next(url, context);
    const real = JSON.stringify(`${url}?real`);
    const source = [
      `import { counted } from ${JSON.stringify(import.meta.url)};`,
      `import * as real from ${real};`,
      `export * from ${real};`,
      ...CHANGES.map((name) => `export const ${name} = counted(real.${name});`),
    ];
    return { format: "module", shortCircuit: true, source: source.join("\n") };
  },
});

const { rmSync } = fs;
/** One by one, as the kernel is asked. */
function remove(path: string): void {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) for (const name of fs.readdirSync(path)) remove(join(path, name));
  change();
  rmSync(path, { recursive: true, force: true });
}
fs.rmSync = remove as typeof fs.rmSync;
fs.renameSync = counted(fs.renameSync);
fs.mkdirSync = counted(fs.mkdirSync) as typeof fs.mkdirSync;
syncBuiltinESMExports();
