import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { hasCode, KernelError } from "./errno.ts";
import { flock, LOCK_EX, mount, MS_BIND, MS_REC, MS_SHARED } from "./libc.ts";
import { isMountPoint, mountIds, unmount } from "./mount.ts";
import { inNewNamespace, OWN_NAMESPACE } from "./namespace.ts";
import { setLink } from "./netlink/link.ts";
import { withNetlink } from "./netlink/socket.ts";

/** Where `ip netns` keeps its names; ours are the same kind of thing, so that `ip netns` and `nsenter --net=` work on them. */
export const NETNS_DIR = "/run/netns";

const NSFS_MAGIC = 0x6e736673;
/** Holds the mount id of NETNS_DIR's mount on itself, if it was us who made it. */
const OWN_MOUNT_MARK = "/run/plenum-netns-mount";

/** "/run/netns/a" for "a". @throws RangeError for what cannot be a file name */
export function namespacePath(name: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$/.test(name))
    throw new RangeError(`not a name for a network namespace: ${JSON.stringify(name)}`);
  return `${NETNS_DIR}/${name}`;
}

/** True if a live namespace is mounted there; the empty file that an interrupted creation leaves is none. */
export function namespaceExists(name: string): boolean {
  try {
    return statfsSync(namespacePath(name)).type === NSFS_MAGIC;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

/** Names under /run/netns, other programs' too. */
export function listNamedNamespaces(): string[] {
  try {
    return readdirSync(NETNS_DIR);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

/**
 * Makes a network namespace, its loopback up, held by a bind mount at /run/netns/<name>. Costs under a millisecond.
 * @returns its path
 * @throws KernelError EEXIST if one of that name lives
 */
export function createNamedNamespace(name: string): string {
  const path = namespacePath(name);
  if (namespaceExists(name)) throw new KernelError(17, `create network namespace ${name}`);
  withDirectoryLock(() => {
    prepareDirectory();
    closeSync(openSync(path, "a", 0o444));
    try {
      inNewNamespace(() => {
        withNetlink(undefined, (nl) => setLink(nl, 1, { up: true }));
        mount(`name network namespace ${name}`, OWN_NAMESPACE, path, null, MS_BIND, null);
      });
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  });
  return path;
}

/** Like createNamedNamespace, and content with one that exists. @returns true if it was made now */
export function ensureNamedNamespace(name: string): boolean {
  if (namespaceExists(name)) return false;
  createNamedNamespace(name);
  return true;
}

/** Takes the name away; the namespace ends when no process or descriptor uses it. Unknown name: no effect. */
export function deleteNamedNamespace(name: string): void {
  const path = namespacePath(name);
  withDirectoryLock(() => {
    unmount(path);
    rmSync(path, { force: true });
    releaseDirectory();
  });
}

/** The lock that `ip netns add` takes, so that two first creations do not both mount the directory. */
function withDirectoryLock(fn: () => void): void {
  mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  const dir = openSync(NETNS_DIR, "r");
  try {
    flock(`lock ${NETNS_DIR}`, dir, LOCK_EX);
    fn();
  } finally {
    closeSync(dir);
  }
}

/**
 * As `ip netns add` does: the directory is a shared mount of its own. Had we not done it, the first `ip netns add` on the machine
 * would mount it over our names, and a name hidden under a mount can no longer be removed.
 */
function prepareDirectory(): void {
  if (isMountPoint(NETNS_DIR)) return;
  mount(`mount ${NETNS_DIR} on itself`, NETNS_DIR, NETNS_DIR, null, MS_BIND | MS_REC, null);
  mount(`share ${NETNS_DIR}`, "", NETNS_DIR, null, MS_SHARED | MS_REC, null);
  writeFileSync(OWN_MOUNT_MARK, mountIds(NETNS_DIR).at(-1) ?? "");
}

/** Undoes prepareDirectory with the last name, if the mount is ours: a machine is left as it was found. */
function releaseDirectory(): void {
  if (listNamedNamespaces().length > 0) return;
  let ours: string;
  try {
    ours = readFileSync(OWN_MOUNT_MARK, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  if (mountIds(NETNS_DIR).at(-1) === ours) unmount(NETNS_DIR);
  rmSync(OWN_MOUNT_MARK, { force: true });
}
