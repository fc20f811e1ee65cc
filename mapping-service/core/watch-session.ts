import type { Position } from "#lib/feed/feed.ts";
import { refusedFrame } from "./frames.ts";
import type { Frame } from "./frames.ts";
import type { NetworkFeed } from "./network-feed.ts";
import { WatchCursor } from "./watch-cursor.ts";

interface Watched {
  readonly feed: NetworkFeed;
  readonly cursor: WatchCursor;
}

/** What one host's stream watches and has still to get. One frame per network in turn: a million mappings do not hold up a change elsewhere. */
export class WatchSession {
  readonly #watched = new Map<bigint, Watched>();
  /** Networks that may have something to send, in turn. */
  readonly #ready = new Set<bigint>();
  readonly #notices: Frame[] = [];

  /** Refusals not yet handed out. */
  get notices(): number {
    return this.#notices.length;
  }

  /** From now on, `feed`: from its snapshot on, or from what the host says that it has. A network that was watched starts again. */
  open(feed: NetworkFeed, subscription: bigint, resume?: Position): void {
    this.#watched.set(feed.networkId, { feed, cursor: new WatchCursor(subscription, resume) });
    this.#ready.add(feed.networkId);
  }

  /** The network has changed. No effect when it is not watched. */
  wake(networkId: bigint): void {
    if (this.#watched.has(networkId)) this.#ready.add(networkId);
  }

  /** Nothing more of the network. Whether it was watched. */
  close(networkId: bigint): boolean {
    this.#ready.delete(networkId);
    return this.#watched.delete(networkId);
  }

  /** Nothing more of the network, and say so. */
  refuse(networkId: bigint, subscription: bigint, message: string): void {
    this.close(networkId);
    this.#notices.push(refusedFrame(networkId, subscription, message));
  }

  /** The next frame to send, or undefined when there is none now. */
  next(): Frame | undefined {
    const notice = this.#notices.shift();
    if (notice !== undefined) return notice;
    for (const networkId of this.#ready) {
      this.#ready.delete(networkId);
      const watched = this.#watched.get(networkId);
      const frame = watched?.cursor.next(watched.feed);
      if (frame === undefined) continue;
      // To the end of the queue: the others first.
      this.#ready.add(networkId);
      return frame;
    }
    return undefined;
  }
}
