import * as linux from "#lib/linux/index.ts";

/** Milliseconds for which a device is asked on a kernel that does not answer for good at once: less than a pass may take. */
const PATIENCE_MS = 25;
const PAUSE_MS = 1;

/**
 * A device that has just got its carrier throws away what is sent through it until the kernel's link watch has run, which waits its turn
 * behind whatever others do to their devices: milliseconds, or many under load. Who is told that it is there may send at once, so it is
 * awaited here. To be asked for the device makes the link watch run (Linux 6.8); an older kernel is asked until it did. Nobody is waited
 * for: without a carrier an end was set down again, and that is not the link watch's to change.
 *
 * @param nl speaks to the device's namespace
 * @throws Error if it has no carrier, is gone, or does not run in 25 ms: to be tried again
 */
export function awaitRunning(nl: linux.NetlinkSocket, ifindex: number): void {
  const end = performance.now() + PATIENCE_MS;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const link = linux.getLink(nl, ifindex);
    if (link?.running === true) return;
    if (link?.carrier !== true) throw new Error(`device ${link?.name ?? ifindex} was set down or taken away while it was being made`);
    if (performance.now() >= end) throw new Error(`device ${link.name} is up and takes no packets yet`);
    Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
}
