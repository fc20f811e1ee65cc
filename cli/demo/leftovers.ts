import { readdirSync, readFileSync } from "node:fs";
import { hasCode, listNamedNamespaces } from "#lib/linux/index.ts";

// Only what belongs to this run is looked for: another demo may run at the same time.

/** Everything on the machine that names the run or its data directory. Empty: as it was before the run began. */
export function leftoversOf(run: string, dataDir: string): string[] {
  return [
    ...listNamedNamespaces()
      .filter((name) => name.startsWith(run))
      .map((name) => `network namespace ${name}`),
    ...mountsUnder(dataDir).map((path) => `mount (with its pins) ${path}`),
    ...processesNaming(run, dataDir).map((text) => `process ${text}`),
    ...entries("/run/plenum", (name) => name.startsWith(run)),
    ...entries(dataDir, () => true),
  ];
}

function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(directory));
}

/** By command line and environment: guests' processes carry the run's name in theirs. */
function processesNaming(...words: string[]): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = readProc(pid, "cmdline");
      const text = command + readProc(pid, "environ");
      return words.some((word) => text.includes(word)) ? [`${pid} ${command.slice(0, 100)}`] : [];
    });
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8").replaceAll("\0", " ");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return "";
    throw error;
  }
}

function entries(directory: string, wanted: (name: string) => boolean): string[] {
  try {
    return readdirSync(directory)
      .filter(wanted)
      .map((name) => `file ${directory}/${name}`);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
