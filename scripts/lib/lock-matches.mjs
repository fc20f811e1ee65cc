// Exits 0 if node_modules holds what package-lock.json names, 1 if it must be installed. Runs on any Node since 18: it is what decides
// whether the right one must be brought first. npm writes node_modules/.package-lock.json last, so a broken install does not match.
import { existsSync, readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
if (!existsSync("node_modules/.package-lock.json")) process.exit(1);
const wanted = read("package-lock.json");
const present = read("node_modules/.package-lock.json");
for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
  if (path === "") continue;
  const found = present[path];
  if (found === undefined && optional) continue; // for another machine's processor or system
  if (found?.version !== version || found.integrity !== integrity) process.exit(1);
}
for (const path of Object.keys(present)) if (wanted[path] === undefined) process.exit(1);
if (!existsSync("node_modules/.bin/node")) process.exit(1); // installed with --omit=optional: the locked Node is missing
