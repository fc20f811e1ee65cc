import { mkdirSync, readFileSync, statfsSync } from "node:fs";
import { hasCode } from "./errno.ts";
import { MNT_DETACH, mount, umount2 } from "./libc.ts";

const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * Mounts a BPF file system for pins at `dir` (made if absent, 0700). Where one is mounted there already, it stays: pins outlive us (D21).
 * @returns true if it was mounted now
 */
export function mountBpffs(dir: string): boolean {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (isBpffs(dir)) return false;
  mount(`mount a BPF file system at ${dir}`, "plenum", dir, "bpf", 0, "mode=0700");
  return true;
}

/** True if `dir` exists and lies in a BPF file system. */
export function isBpffs(dir: string): boolean {
  try {
    return statfsSync(dir).type === BPF_FS_MAGIC;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

/** Unmounts what is mounted at `path` (lazily: users keep what they have open). Nothing mounted there, or no such path: no effect. */
export function unmount(path: string): void {
  try {
    umount2(`unmount ${path}`, path, MNT_DETACH);
  } catch (error) {
    if (!hasCode(error, "EINVAL", "ENOENT")) throw error;
  }
}

/** True if something is mounted exactly at `path` (absolute, without symbolic links) in this mount namespace. */
export function isMountPoint(path: string): boolean {
  return mountIds(path).length > 0;
}

/** Ids of the mounts exactly at `path`, lowest of a stack first. */
export function mountIds(path: string): string[] {
  const ids: string[] = [];
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [id, , , , point] = line.split(" ");
    if (id !== undefined && point === escaped(path)) ids.push(id);
  }
  return ids;
}

/** mountinfo writes space, tab, newline and backslash as octal. */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
