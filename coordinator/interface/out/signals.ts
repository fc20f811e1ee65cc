import { randomUUID } from "node:crypto";
import type { Bus, BusSubscription } from "#lib/bus/bus.ts";
import { Wake } from "../../identity/api.ts";

/** Says that hosts reported something. A hint: the rows are the truth (C6). */
export const APPLIED_SUBJECT = "plenum.int.applied";

/** One waiter's keys. */
export interface Watch {
  readonly wake: Wake;
  /** Wake with these, too. */
  add(keys: readonly string[]): void;
  close(): void;
}

/** Keys of what became known: attachment ids, "network:<id>". */
export interface Signals {
  /** After a commit: wake who waits for these keys, here and in other processes. */
  announce(keys: readonly string[]): void;
  /** Until `close`, `wake` wakes with each announcement of one of the keys. Watch first, then read the level (C3). */
  watch(keys: readonly string[]): Watch;
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
      const own = new Set<string>();
      const add = (more: readonly string[]): void => {
        for (const key of more) {
          own.add(key);
          waiting.set(key, (waiting.get(key) ?? new Set()).add(wake));
        }
      };
      add(keys);
      return {
        wake,
        add,
        close() {
          for (const key of own) {
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
