import type { Logger } from "../log/log.ts";
import { subjectMatches } from "./bus.ts";
import type { Bus, BusMessage } from "./bus.ts";

interface Entry {
  readonly owner: object;
  readonly pattern: string;
  readonly handler: (message: BusMessage) => void;
  readonly log: Logger;
}

/** As the real server's. */
const MAX_BYTES = 1_048_576;

/** What a test may make go wrong with each delivery; "late": what is published within the next 10 ms overtakes it. */
export type Fate = "deliver" | "lose" | "twice" | "late";
const LATE_MS = 10;

/** A bus server inside the process. Buses made by one hub hear each other. */
export class MemoryHub {
  readonly #entries = new Set<Entry>();
  readonly #offline = new Set<object>();
  /** Decides the fate of each delivery; default: all arrive once. */
  fate: (message: BusMessage) => Fate = () => "deliver";

  connect(log: Logger): Bus & { setConnected(connected: boolean): void } {
    const owner = {};
    let published = 0;
    let dropped = 0;
    let closed = false;
    return {
      publish: (subject, data, headers = {}) => {
        if (closed || this.#offline.has(owner) || data.length > MAX_BYTES) {
          dropped += 1;
          return;
        }
        published += 1;
        this.#deliver({ subject, data: Uint8Array.from(data), headers });
      },
      subscribe: (pattern, handler) => {
        const entry = { owner, pattern, handler, log };
        this.#entries.add(entry);
        return { unsubscribe: () => void this.#entries.delete(entry) };
      },
      flush: async () => {
        if (this.#offline.has(owner)) throw new Error("the bus is not connected");
        await new Promise((resolve) => setImmediate(resolve));
      },
      stats: () => ({ connected: !closed && !this.#offline.has(owner), published, dropped }),
      close: () => {
        closed = true;
        for (const entry of this.#entries) if (entry.owner === owner) this.#entries.delete(entry);
        return Promise.resolve();
      },
      setConnected: (connected) => {
        if (connected) this.#offline.delete(owner);
        else this.#offline.add(owner);
      },
    };
  }

  #deliver(message: BusMessage): void {
    for (const entry of this.#entries) {
      if (!subjectMatches(entry.pattern, message.subject)) continue;
      const fate = this.fate(message);
      if (fate === "late") setTimeout(() => this.#hand(entry, message), LATE_MS);
      const times = fate === "lose" || fate === "late" ? 0 : fate === "twice" ? 2 : 1;
      for (let time = 0; time < times; time += 1) setImmediate(() => this.#hand(entry, message));
    }
  }

  #hand(entry: Entry, message: BusMessage): void {
    if (!this.#entries.has(entry) || this.#offline.has(entry.owner)) return;
    try {
      entry.handler(message);
    } catch (error) {
      entry.log.error({ err: error, subject: message.subject }, "a subscriber failed");
    }
  }
}
