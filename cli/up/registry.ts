import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { hasCode } from "#lib/linux/index.ts";
import { RUN_NAME } from "./layout.ts";
import { identify, isAlive } from "./processes.ts";

/** What a launcher has made on this machine, written before it makes anything: whoever finds it dead can clean up after it. */
const recordSchema = z.object({
  run: z.string().regex(RUN_NAME),
  /** The launcher. */
  pid: z.number().int(),
  startTime: z.string(),
  dataDir: z.string(),
  /** The data directory goes with the run (demo, tests). */
  temporary: z.boolean(),
});
export type RunRecord = z.infer<typeof recordSchema>;

/** Emptied at boot, like what it tells of. */
export const REGISTRY_DIR = "/run/plenum";

const fileOf = (run: string): string => join(REGISTRY_DIR, `${run}.json`);

/** "plk3x9ab": not yet used on this machine. */
export function newRunName(): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  return `pl${[...randomBytes(6)].map((byte) => alphabet[byte % alphabet.length]).join("")}`;
}

/** Says that this process is the launcher of `run`. */
export function register(run: Omit<RunRecord, "pid" | "startTime">): RunRecord {
  const own = identify(process.pid);
  if (own === undefined) throw new Error("/proc does not know this process: is /proc mounted?");
  const record = { ...run, pid: own.pid, startTime: own.startTime };
  mkdirSync(REGISTRY_DIR, { recursive: true, mode: 0o755 });
  const temporary = `${fileOf(run.run)}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify(record), { mode: 0o644 });
  renameSync(temporary, fileOf(run.run));
  return record;
}

export function unregister(run: string): void {
  rmSync(fileOf(run), { force: true });
}

/** Every run that was registered and not taken out, dead ones too. */
export function registeredRuns(): RunRecord[] {
  return fileNames()
    .map((name) => readRecord(name))
    .filter((record) => record !== undefined);
}

function fileNames(): string[] {
  try {
    return readdirSync(REGISTRY_DIR).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

function readRecord(name: string): RunRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(join(REGISTRY_DIR, name), "utf8")));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined; // taken out since it was listed
    throw new Error(`${join(REGISTRY_DIR, name)} cannot be understood; remove it if no \`plenum up\` runs`, { cause: error });
  }
}

/** Whether its launcher still runs. */
export function isRunning(record: RunRecord): boolean {
  return isAlive({ pid: record.pid, startTime: record.startTime });
}
