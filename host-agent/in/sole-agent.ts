import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigError } from "#lib/config/config.ts";
import { tryLockFile } from "#lib/linux/index.ts";
import type { Unlock } from "#lib/linux/index.ts";
import type { Logger } from "#lib/log/log.ts";

/** One that was just killed, or is asked to end, is gone by then. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 50;

export interface SoleAgentOptions {
  stateDir: string;
  log: Logger;
  signal: AbortSignal;
  patienceMs?: number;
}

/**
 * Makes this process the only agent on its host's pins, devices and instances. Two would undo each other's work for ever: each takes the
 * other's session, attaches its own programs in place of the other's, and counts on what it wrote itself. The kernel has nobody wait for
 * such a lock and for a signal at once, so it is asked again.
 *
 * @returns how to let another one in
 * @throws ConfigError if another one goes on; the signal's reason
 */
export async function soleAgent({ stateDir, log, signal, patienceMs = PATIENCE_MS }: SoleAgentOptions): Promise<Unlock> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + patienceMs;
  for (let told = false; ; told = true) {
    const lock = tryLockFile(join(stateDir, "agent.lock"));
    if (typeof lock === "function") return lock;
    const other = `another host agent (process ${lock.holder}) has ${stateDir}`;
    if (performance.now() >= deadline) throw new ConfigError([`${other}: end it first, or give this one a --state-dir of its own`]);
    if (!told) log.warn(`${other}; waiting for its end`);
    await delay(LOOK_MS, undefined, { signal });
  }
}
