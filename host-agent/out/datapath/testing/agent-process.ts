import { openDatapath, type DatapathOptions, type Upgrade } from "../index.ts";

// A stand-in for the agent: opens the datapath, guards devices, says what it found, and stays until it is killed.
const [options, ...ifindexes] = JSON.parse(process.argv[2] ?? "") as [DatapathOptions, ...number[]];
let upgrade: Upgrade | undefined;
const datapath = openDatapath({ ...options, onUpgrade: (found) => (upgrade = found) });
for (const ifindex of ifindexes) datapath.guardDevice(ifindex);
process.stdout.write(`${JSON.stringify({ upgrade })}\n`);
setInterval(() => {}, 1 << 30);
