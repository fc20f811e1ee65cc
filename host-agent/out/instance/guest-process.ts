import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";
import { FILE_LIMIT_BYTES } from "./instance-log.ts";

/**
 * All that the programs see which still run as root, and what a guest's process sees where its specification names no other value.
 * Nothing of the agent's own environment is passed on.
 */
const BASE_ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/", LANG: "C.UTF-8" };

/**
 * No capability now, and with no-new-privs none to be gained. net_raw stays in the bounding set only so that the kernel agrees to run
 * Debian's ping, whose file asks for it: it runs without, and uses the ping socket that the namespace's sysctl allows.
 */
const NO_PRIVILEGES = ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all,+net_raw"];

/**
 * Still as root, in a mount namespace that only the process and its children are in: what is the instance's own is put in the host's place,
 * and all else is what it was. The host's later mounts and unmounts get there (a namespace that kept them would keep what the host lets go
 * of), and none of this comes back. The words are arguments (pairs, "--", the program), so that none of them is code.
 */
const MOUNT = `while [ "$1" != -- ]; do mount --bind -- "$1" "$2" || exit; shift 2; done; shift; exec "$@"`;

const FIRST_UID = 0x70000000;
const UID_COUNT = 0x00ffffff;

/**
 * User and group of an instance's processes: its own, so that two tenants' processes can neither signal nor trace each other. From a
 * range that no distribution assigns (above systemd's containers), below 2^31, by hash: two instances of a host share one with
 * probability 1 in 16 million.
 */
export function instanceUid(instanceId: string): number {
  return FIRST_UID + (createHash("sha256").update(instanceId).digest().readUInt32BE() % UID_COUNT);
}

export interface GuestProcess {
  instanceId: string;
  namespacePath: string;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  logPath: string;
  /** What the process is to see in the host's place: paths of files and directories, and over which they are put. */
  mounts: readonly { from: string; over: string }[];
}

/** The programs that put a process into a namespace without privileges (of packages that every Debian has). */
export interface Launchers {
  prlimit: string;
  nsenter: string;
  unshare: string;
  mount: string;
  sh: string;
  setpriv: string;
  env: string;
}

/** @throws Error naming what is missing and where it comes from */
export function findLaunchers(path = process.env["PATH"] ?? BASE_ENVIRONMENT.PATH): Launchers {
  const find = (program: string, from: string): string => {
    for (const dir of path.split(delimiter)) {
      try {
        accessSync(join(dir, program), constants.X_OK);
        return join(dir, program);
      } catch {
        continue; // Not in this directory.
      }
    }
    throw new Error(`${program} is not in PATH (${path}); it is part of the package ${from}`);
  };
  const ofUtilLinux = (program: string): string => find(program, "util-linux");
  return {
    nsenter: ofUtilLinux("nsenter"),
    unshare: ofUtilLinux("unshare"),
    mount: find("mount", "mount"),
    sh: find("sh", "dash"),
    prlimit: ofUtilLinux("prlimit"),
    setpriv: ofUtilLinux("setpriv"),
    env: find("env", "coreutils"),
  };
}

/**
 * Starts argv in the namespace, as a session of its own that outlives the agent, as the instance's user, without any capability and
 * without a way to gain one. Each program on the way replaces itself by the next: the child's pid is argv's. A program that does not
 * exist ends with code 127 and a line in the log.
 *
 * The guest's variables are set by the last of them, when the privileges are gone: some (LD_PRELOAD) run code of the guest's choice in
 * whatever is started with them.
 *
 * @throws RangeError for a program with a "=" in its name, which could not be told from a variable
 */
export function startGuestProcess(launchers: Launchers, guest: GuestProcess): ChildProcess {
  if (guest.argv[0]?.includes("=") === true) throw new RangeError(`a program's name must not hold "=": ${guest.argv[0]}`);
  const uid = String(instanceUid(guest.instanceId));
  const user = ["--reuid", uid, "--regid", uid, "--clear-groups"];
  const variables = Object.entries({ ...BASE_ENVIRONMENT, ...guest.env }).map(([name, value]) => `${name}=${value}`);
  const limits = [`--fsize=${FILE_LIMIT_BYTES}`, "--"];
  const pairs = guest.mounts.flatMap(({ from, over }) => [from, over]);
  const ownFiles = [launchers.unshare, "--mount", "--propagation", "slave", "--", launchers.sh, "-c", MOUNT, "sh", ...pairs, "--"];
  const privileged = [`--net=${guest.namespacePath}`, "--", ...ownFiles, launchers.setpriv, ...user, ...NO_PRIVILEGES, "--"];
  const log = openSync(guest.logPath, "a", 0o600);
  try {
    return spawn(launchers.prlimit, [...limits, launchers.nsenter, ...privileged, launchers.env, "-i", "--", ...variables, ...guest.argv], {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
      env: BASE_ENVIRONMENT,
    });
  } finally {
    closeSync(log);
  }
}
