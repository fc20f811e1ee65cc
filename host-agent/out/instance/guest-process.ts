import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";

/** What a process sees where its specification names no other value. Nothing of the agent's own environment is passed on. */
const BASE_ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/", LANG: "C.UTF-8" };

/**
 * No capability now, and with no-new-privs none to be gained. net_raw stays in the bounding set only so that the kernel agrees to run
 * Debian's ping, whose file asks for it: it runs without, and uses the ping socket that the namespace's sysctl allows.
 */
const NO_PRIVILEGES = ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all,+net_raw"];

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
}

/** The programs that put a process into a namespace without privileges (util-linux, present on every Debian). */
export interface Launchers {
  nsenter: string;
  setpriv: string;
}

/** @throws Error naming what is missing and where it comes from */
export function findLaunchers(path = process.env["PATH"] ?? BASE_ENVIRONMENT.PATH): Launchers {
  const find = (program: string): string => {
    for (const dir of path.split(delimiter)) {
      try {
        accessSync(join(dir, program), constants.X_OK);
        return join(dir, program);
      } catch {
        continue; // Not in this directory.
      }
    }
    throw new Error(`${program} is not in PATH (${path}); it is part of the package util-linux`);
  };
  return { nsenter: find("nsenter"), setpriv: find("setpriv") };
}

/**
 * Starts argv in the namespace, as a session of its own that outlives the agent, as the instance's user, without any capability and
 * without a way to gain one. nsenter and setpriv replace themselves: the child's pid is argv's. A program that does not exist ends
 * with code 127 and a line in the log.
 */
export function startGuestProcess(launchers: Launchers, guest: GuestProcess): ChildProcess {
  const uid = String(instanceUid(guest.instanceId));
  const log = openSync(guest.logPath, "a", 0o600);
  try {
    const user = ["--reuid", uid, "--regid", uid, "--clear-groups"];
    const args = [`--net=${guest.namespacePath}`, "--", launchers.setpriv, ...user, ...NO_PRIVILEGES, "--", ...guest.argv];
    return spawn(launchers.nsenter, args, {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...BASE_ENVIRONMENT, ...guest.env },
    });
  } finally {
    closeSync(log);
  }
}
