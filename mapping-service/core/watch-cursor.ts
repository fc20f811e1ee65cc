import type { Position } from "#lib/feed/feed.ts";
import { beginFrame, historyGoneFrame, inSyncFrame, resumedFrame } from "./frames.ts";
import type { Frame } from "./frames.ts";
import type { NetworkFeed, Snapshot } from "./network-feed.ts";

/** Where one watcher is in one network: all that it costs to be slow. */
export class WatchCursor {
  readonly #subscription: bigint;
  #snapshot: Snapshot | undefined;
  #frame = 0;
  /** What the watcher has, once everything handed out arrived; undefined until a snapshot is through. */
  #at: Position | undefined;
  /** Not yet told to a watcher that resumes: that it may, and that it has all it had missed. */
  #owed: "resumed" | "inSync" | undefined;

  /** `resume`: what the watcher says that it has. */
  constructor(subscription: bigint, resume?: Position) {
    this.#subscription = subscription;
    this.#at = resume;
    if (resume !== undefined) this.#owed = "resumed";
  }

  /** The next thing to send, or undefined when the watcher has everything. */
  next(feed: NetworkFeed): Frame | undefined {
    if (this.#snapshot !== undefined) return this.#continue(this.#snapshot);
    const at = this.#at;
    if (at === undefined) return this.#begin(feed);
    const next = feed.next(at);
    if (next === undefined) return this.#startAgain(feed);
    if (this.#owed === "resumed") {
      this.#owed = "inSync";
      return resumedFrame(feed, this.#subscription, at.version);
    }
    if (next !== "newest") {
      this.#at = next.at;
      return next.frame;
    }
    if (this.#owed === undefined) return undefined;
    this.#owed = undefined;
    return inSyncFrame(feed, at);
  }

  #startAgain(feed: NetworkFeed): Frame {
    this.#at = undefined;
    this.#owed = undefined;
    return historyGoneFrame(feed, this.#subscription);
  }

  #begin(feed: NetworkFeed): Frame {
    this.#snapshot = feed.snapshot();
    this.#frame = 0;
    return beginFrame(feed, this.#subscription, this.#snapshot.at.version);
  }

  #continue(snapshot: Snapshot): Frame | undefined {
    const frame = snapshot.frames[this.#frame];
    this.#frame += 1;
    if (this.#frame >= snapshot.frames.length) {
      this.#at = snapshot.at;
      this.#snapshot = undefined;
    }
    return frame;
  }
}
