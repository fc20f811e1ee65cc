import { beginFrame } from "./frames.ts";
import type { Frame } from "./frames.ts";
import type { NetworkFeed, Snapshot } from "./network-feed.ts";

/** Where one watcher is in one network: all that it costs to be slow. */
export class WatchCursor {
  readonly subscription: bigint;
  #snapshot: Snapshot | undefined;
  #frame = 0;
  #generation = 0;
  /** Sent up to here; undefined until in sync. */
  #version: bigint | undefined;

  constructor(subscription: bigint) {
    this.subscription = subscription;
  }

  /** Version that the watcher has, once everything handed out arrived; undefined before its first in_sync. */
  get version(): bigint | undefined {
    return this.#version;
  }

  /** The next thing to send, or undefined when the watcher has everything. */
  next(feed: NetworkFeed): Frame | undefined {
    if (this.#snapshot !== undefined) return this.#continue(this.#snapshot);
    if (this.#version === undefined) return this.#begin(feed);
    const follows = this.#generation === feed.generation;
    if (follows && this.#version === feed.version) return undefined;
    const delta = follows ? feed.delta(this.#version + 1n) : undefined;
    if (delta === undefined) return this.#begin(feed);
    this.#version += 1n;
    return delta;
  }

  #begin(feed: NetworkFeed): Frame {
    this.#snapshot = feed.snapshot();
    this.#frame = 0;
    this.#generation = feed.generation;
    return beginFrame(feed, this.subscription, this.#snapshot.version);
  }

  #continue(snapshot: Snapshot): Frame | undefined {
    const frame = snapshot.frames[this.#frame];
    this.#frame += 1;
    if (this.#frame >= snapshot.frames.length) {
      this.#version = snapshot.version;
      this.#snapshot = undefined;
    }
    return frame;
  }
}
