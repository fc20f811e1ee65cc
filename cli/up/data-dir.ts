import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { hasCode } from "#lib/linux/index.ts";
import { flock, LOCK_EX } from "#lib/linux/libc.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { DATA_DIR_LIMIT, RUN_NAME } from "./layout.ts";
import { newRunName } from "./registry.ts";

export const DEFAULT_DATA_DIR = "/var/lib/plenum";

/** Fail instead of waiting. */
export const LOCK_NB = 4;

/** A data directory that is ours until we release it or end. */
export interface DataDir {
  /** Without symbolic links, as the kernel's list of mounts has it. */
  path: string;
  /** The same at every start: what agents remember of their namespaces stays true. */
  run: string;
  release(): void;
}

/**
 * Makes the directory if absent and takes it for this process (the lock ends with it, in whatever way).
 * @param preferredRun the run's name if the directory is new
 * @throws CliError if the path is too long, the directory is no place for it, or another process has it
 */
export function openDataDir(path: string, preferredRun = newRunName()): DataDir {
  if (Buffer.byteLength(path) > DATA_DIR_LIMIT) {
    throw new CliError(
      `the data directory's path is longer than ${DATA_DIR_LIMIT} bytes: ${path}`,
      "choose a shorter one: sockets lie in it",
      ExitCode.USAGE,
    );
  }
  makeWalkable(path);
  mkdirSync(join(path, "logs"), { recursive: true, mode: 0o755 });
  const lock = openSync(join(path, "lock"), "a", 0o600);
  try {
    flock(`lock ${path}`, lock, LOCK_EX | LOCK_NB);
  } catch (error) {
    closeSync(lock);
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
    throw new CliError(
      `${path} is in use by another \`plenum up\``,
      "stop that one (`plenum down`), or name another with --data-dir",
      ExitCode.CONFLICT,
    );
  }
  return { path: realpathSync(path), run: runName(join(path, "run"), preferredRun), release: () => closeSync(lock) };
}

/** Of /tmp and the like: everybody's. */
const STICKY = 0o1000;

/**
 * Open to walk through: PostgreSQL runs as another account below it. What is secret in it is closed file by file. One that is somebody's
 * already stays as it is; an empty one of our own account was made for this.
 */
function makeWalkable(path: string): void {
  const made = mkdirSync(path, { recursive: true, mode: 0o755 }) !== undefined;
  const { mode, uid } = statSync(path);
  if ((mode & STICKY) !== 0) {
    throw new CliError(
      `${path} is a directory for everybody's files`,
      `name one of its own: --data-dir ${join(path, "plenum")}`,
      ExitCode.USAGE,
    );
  }
  if (made || (uid === process.geteuid?.() && readdirSync(path).length === 0)) chmodSync(path, 0o755);
  else if ((mode & constants.S_IXOTH) === 0) {
    throw new CliError(
      `${path} is closed to other accounts, and PostgreSQL runs as one`,
      `name a new directory with --data-dir, or open it (chmod o+x ${path})`,
      ExitCode.USAGE,
    );
  }
}

function runName(file: string, preferred: string): string {
  try {
    const name = readFileSync(file, "utf8").trim();
    if (RUN_NAME.test(name)) return name;
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  writeFileSync(file, `${preferred}\n`);
  return preferred;
}
