import type { Follower, ScopeReader } from "#lib/feed/feed.ts";
import { watchedIds } from "../../call/api.ts";

/** What becomes of the scopes that one watch follows. */
export interface FollowedEvents {
  /** Resources to be looked at again. */
  changed(scope: string, ids: readonly string[]): void;
  /** The scope is followed from here on: whatever was before is to be read as it is. Again when its log is gone. */
  began(scope: string): void;
  /** Another scope has caught up with its log. */
  caughtUp(): void;
  failed(error: Error): void;
}

/** The accounts' scopes that one watch follows, each by a follower of lib/feed. */
export class FollowedAccounts {
  readonly #reader: ScopeReader<unknown>;
  readonly #events: FollowedEvents;
  readonly #followers = new Map<string, Follower>();
  /** Scopes of which all of the log there was has been handed over. */
  readonly #caughtUp = new Set<string>();

  constructor(reader: ScopeReader<unknown>, events: FollowedEvents) {
    this.#reader = reader;
    this.#events = events;
  }

  /** Follow exactly these; what begins to be followed goes on from `from`, where that names it. */
  follow(scopes: ReadonlySet<string>, from: ReadonlyMap<string, bigint>): void {
    for (const [scope, follower] of this.#followers) {
      if (scopes.has(scope)) continue;
      follower.close();
      this.#followers.delete(scope);
      this.#caughtUp.delete(scope);
    }
    for (const scope of scopes) if (!this.#followers.has(scope)) this.#begin(scope, from.get(scope));
  }

  /** Versions handed over; a scope whose following has not begun is left out. */
  versions(): Map<string, bigint> {
    return new Map([...this.#followers].flatMap(([scope, { version }]) => (version === undefined ? [] : [[scope, version] as const])));
  }

  /** Each is followed from somewhere. */
  get begun(): boolean {
    return [...this.#followers.values()].every(({ version }) => version !== undefined);
  }

  /** Each has handed over what its log held. */
  get caughtUp(): boolean {
    return this.#caughtUp.size === this.#followers.size;
  }

  close(): void {
    this.follow(new Set(), new Map());
  }

  #begin(scope: string, from: bigint | undefined): void {
    const events = this.#events;
    const follower = this.#reader.follow(scope, {
      from,
      // The state is read record by record when it can be sent: here only the version counts.
      snapshot: () => Promise.resolve(),
      onSnapshot: () => events.began(scope),
      onInSync: () => {
        this.#caughtUp.add(scope);
        events.caughtUp();
      },
      onDelta: ({ payload }) => events.changed(scope, watchedIds(payload)),
    });
    follower.done.catch((error: unknown) => events.failed(error instanceof Error ? error : new Error(String(error))));
    this.#followers.set(scope, follower);
  }
}
