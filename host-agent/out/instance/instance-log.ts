import { closeSync, openSync, readSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { hasCode } from "#lib/linux/index.ts";

/** A log longer than this is cut at the next look. Two files a process: at most twice this, and what is written between two looks. */
export const LOG_LIMIT_BYTES = 1024 * 1024;

/**
 * No file that an instance's process writes to gets longer: its log not between two looks either, and not by a hole (the process holds
 * the file, and may cut or stretch it). Enough for what is printed in a burst; a process that writes beyond it ends with SIGXFSZ.
 */
export const FILE_LIMIT_BYTES = 64 * LOG_LIMIT_BYTES;

/**
 * The process writes to the file itself, so that its output survives the agent; nobody stands between who could stop at a limit.
 * Whoever polls the instances therefore keeps the end of a long log in `<log>.1`, at most LOG_LIMIT_BYTES of it, and empties it (the
 * process appends, so it goes on at the start).
 */
export function boundLog(path: string): void {
  try {
    const { size } = statSync(path);
    if (size <= LOG_LIMIT_BYTES) return;
    keepEnd(path, size);
    truncateSync(path, 0);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** Not where the disk has no room for it: what is cut is what gives it some. */
function keepEnd(path: string, size: number): void {
  try {
    writeFileSync(`${path}.1`, endOf(path, size), { mode: 0o600 });
  } catch (error) {
    if (!hasCode(error, "ENOSPC", "EDQUOT")) throw error;
    rmSync(`${path}.1`, { force: true });
  }
}

function endOf(path: string, size: number): Buffer {
  const file = openSync(path, "r");
  try {
    const end = Buffer.alloc(LOG_LIMIT_BYTES);
    return end.subarray(0, readSync(file, end, 0, end.length, size - end.length));
  } finally {
    closeSync(file);
  }
}
