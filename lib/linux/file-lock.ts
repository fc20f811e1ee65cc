import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { hasCode } from "./errno.ts";
import { flock, LOCK_EX, LOCK_NB } from "./libc.ts";

/** Lets go of the lock. The end of the process does, too, however it ends. */
export type Unlock = () => void;

/**
 * Locks a file for this process alone (flock(2)) and writes the process id into it; the file is made if absent, and stays. Never waits.
 * @returns how to let go, or, where another process (or another part of this one) has it, the process id that it wrote
 * @throws what opening the file says; KernelError
 */
export function tryLockFile(path: string): Unlock | { holder: string } {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    flock(`lock ${path}`, file, LOCK_EX | LOCK_NB);
    ftruncateSync(file);
    writeSync(file, String(process.pid), 0);
    return () => closeSync(file);
  } catch (error) {
    closeSync(file);
    if (hasCode(error, "EAGAIN", "EWOULDBLOCK")) return { holder: readFileSync(path, "utf8") };
    throw error;
  }
}
