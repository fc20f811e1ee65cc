import { randomUUID } from "node:crypto";
import type { Bus, BusSubscription } from "#lib/bus/bus.ts";
import { Wake } from "../../identity/api.ts";

/** Says that hosts reported something. A hint: the rows are the truth (C6). */
export const APPLIED_SUBJECT = "plenum.int.applied";

/** Keys of what became known: attachment ids, "network:<id>". */
export interface Signals {
  /** After a commit: wake who waits for these keys, here and in other processes. */
  announce(keys: readonly string[]): void;
  /** Until `close`, `wake` wakes with each announcement of one of the keys. Watch first, then read the level (C3). */
  watch(keys: readonly string[]): { readonly wake: Wake; close(): void };
  close(): void;
}

const MAX_KEYS = 4_000;

/** One subscription for all waits of a process. */
export function createSignals(bus: Bus): Signals {
  const origin = randomUUID();
  const waiting = new Map<string, Set<Wake>>();
  const wakeAll = (keys: readonly string[]): void => {
    for (const key of keys) for (const wake of waiting.get(key) ?? []) wake.wake();
  };
  const subscription: BusSubscription = bus.subscribe(APPLIED_SUBJECT, ({ data, headers }) => {
    if (headers["origin"] === origin) return; // heard already, without the way over the bus
    wakeAll(Buffer.from(data).toString("utf8").split(" "));
  });
  return {
    announce(keys) {
      wakeAll(keys);
      for (let at = 0; at < keys.length; at += MAX_KEYS) {
        bus.publish(APPLIED_SUBJECT, Buffer.from(keys.slice(at, at + MAX_KEYS).join(" ")), { origin });
      }
    },
    watch(keys) {
      const wake = new Wake();
      for (const key of keys) {
        const set = waiting.get(key) ?? new Set();
        waiting.set(key, set.add(wake));
      }
      return {
        wake,
        close() {
          for (const key of keys) {
            const set = waiting.get(key);
            set?.delete(wake);
            if (set?.size === 0) waiting.delete(key);
          }
        },
      };
    },
    close: () => subscription.unsubscribe(),
  };
}
