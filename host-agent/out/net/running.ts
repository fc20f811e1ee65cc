import * as linux from "#lib/linux/index.ts";

/** Milliseconds, together, for which a device is asked on a kernel that does not answer for good at once. */
const PATIENCE_MS = 100;
const PAUSE_MS = 1;

/**
 * A device that has just got its carrier throws away what is sent through it until the kernel's link watch has run, which waits its turn
 * behind whatever others do to their devices: milliseconds, or many under load. Who is told that it is there may send at once, so it is
 * awaited here. To be asked for the device makes the link watch run (Linux 6.8); an older kernel is asked until it did.
 *
 * @param nl speaks to the device's namespace
 * @throws Error if it does not in 100 ms: an end was set down or taken away meanwhile
 */
export function awaitRunning(nl: linux.NetlinkSocket, ifindex: number): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; ; waited += PAUSE_MS) {
    const link = linux.getLink(nl, ifindex);
    if (link?.running === true) return;
    if (link === undefined || waited >= PATIENCE_MS) throw new Error(`device ${link?.name ?? ifindex} was set up and does not run`);
    Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
}
