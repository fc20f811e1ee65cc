import { closeSync, openSync } from "node:fs";
import { CLONE_NEWNET, setns, unshare } from "./libc.ts";

/** The network namespace of the calling thread. `thread-self`, not `self`: a namespace belongs to a thread, and `self` is the main one. */
export const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/**
 * Runs `fn` with the calling thread inside the network namespace at `path` ("/run/netns/a", "/proc/7/ns/net"), and comes back.
 *
 * `fn` must be synchronous: whatever runs on this thread while it is away (a timer, another request) would act in the wrong network.
 * Sockets opened inside go on speaking to that namespace afterwards. If the way back fails the process aborts, for the same reason.
 *
 * @throws what opening `path` says (ENOENT), KernelError from setns (EINVAL: not a network namespace; EPERM), what `fn` throws
 */
export function withNamespace<T>(path: string, fn: () => T): T {
  if (path === OWN_NAMESPACE) return finished(fn());
  const target = openSync(path, "r");
  try {
    return excursion(() => setns(`enter network namespace ${path}`, target, CLONE_NEWNET), fn);
  } finally {
    closeSync(target);
  }
}

/** Runs `fn` inside a network namespace that is new and has no name yet; it ends with its last user (a mount, a process, a descriptor). */
export function inNewNamespace<T>(fn: () => T): T {
  return excursion(() => unshare("create a network namespace", CLONE_NEWNET), fn);
}

function excursion<T>(leave: () => void, fn: () => T): T {
  const home = openSync(OWN_NAMESPACE, "r");
  try {
    leave();
    let result: T;
    try {
      result = fn();
    } finally {
      comeBack(home);
    }
    return finished(result);
  } finally {
    closeSync(home);
  }
}

function finished<T>(result: T): T {
  if (result instanceof Promise) throw new TypeError("a function run inside a namespace must be synchronous; this one returned a promise");
  return result;
}

function comeBack(home: number): void {
  try {
    setns("return to the own network namespace", home, CLONE_NEWNET);
  } catch (error) {
    process.stderr.write(`${String(error)}: this thread is lost in another network namespace, aborting\n`);
    process.abort();
  }
}
