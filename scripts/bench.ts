// `npm run bench [name] [-- --pairs N …]`: each program bench/<name>.ts measures us and a peer in one run and prints ratios.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { runStep } from "./lib/step.ts";

const [first, ...rest] = process.argv.slice(2);
const only = first?.startsWith("-") === true ? undefined : first;
const options = only === undefined && first !== undefined ? [first, ...rest] : rest;
const files = existsSync("bench") ? readdirSync("bench").filter((file) => /^[a-z0-9-]+\.ts$/.test(file)) : [];
const chosen = files.filter((file) => only === undefined || file === `${only}.ts`).sort();
if (chosen.length === 0) {
  const have = files.map((file) => file.replace(".ts", "")).join(", ");
  process.stderr.write(
    `plenum: there is no benchmark${only === undefined ? "" : ` "${only}"`} in bench/${have === "" ? "" : ` (there are: ${have})`}\n`,
  );
  process.exit(1);
}
let failed = 0;
for (const file of chosen) {
  const { ok } = await runStep(file, process.execPath, [join("bench", file), ...options]);
  if (!ok) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);
