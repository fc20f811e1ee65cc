import { copyFileSync, statSync, truncateSync } from "node:fs";
import { hasCode } from "#lib/linux/index.ts";

/** A log longer than this is cut at the next look. Two files a process: at most twice this, and what is written between two looks. */
export const LOG_LIMIT_BYTES = 1024 * 1024;

/**
 * The process writes to the file itself, so that its output survives the agent; nobody stands between who could stop at a limit.
 * Whoever polls the instances therefore moves a long log to `<log>.1` and empties it (the process appends, so it goes on at the start).
 */
export function boundLog(path: string): void {
  try {
    if (statSync(path).size <= LOG_LIMIT_BYTES) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path, 0);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}
