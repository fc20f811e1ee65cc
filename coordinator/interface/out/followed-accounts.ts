import type { Follower, ScopeReader } from "#lib/feed/feed.ts";
import { watchedIds, watchScopes } from "../../call/api.ts";

/** What becomes of the accounts that one watch follows. */
export interface FollowedEvents {
  /** Resources to be looked at again. */
  changed(accountId: string, ids: readonly string[]): void;
  /** A scope is followed from here on: whatever was before is to be read as it is. Again when its log is gone. */
  began(accountId: string): void;
  /** Another scope has caught up with its log. */
  caughtUp(): void;
  failed(error: Error): void;
}

/** The accounts that one watch follows, each of their scopes by a follower of lib/feed. */
export class FollowedAccounts {
  readonly #reader: ScopeReader<unknown>;
  readonly #events: FollowedEvents;
  readonly #followers = new Map<string, readonly Follower[]>();
  /** Those that have not handed over yet what their log held. */
  readonly #behind = new Set<Follower>();

  constructor(reader: ScopeReader<unknown>, events: FollowedEvents) {
    this.#reader = reader;
    this.#events = events;
  }

  /** Follow exactly these accounts; what begins to be followed goes on from `from`, where that names it. */
  follow(accountIds: ReadonlySet<string>, from: ReadonlyMap<string, readonly bigint[]>): void {
    for (const [accountId, followers] of this.#followers) {
      if (accountIds.has(accountId)) continue;
      for (const follower of followers) {
        follower.close();
        this.#behind.delete(follower);
      }
      this.#followers.delete(accountId);
    }
    for (const accountId of accountIds) {
      if (this.#followers.has(accountId)) continue;
      const versions = from.get(accountId);
      const followers = watchScopes(accountId).map((scope, part) => this.#begin(accountId, scope, versions?.[part]));
      this.#followers.set(accountId, followers);
    }
  }

  /** Versions handed over; an account whose following has not wholly begun is left out. */
  versions(): Map<string, readonly bigint[]> {
    const known = [...this.#followers].map(([accountId, followers]) => {
      const versions = followers.flatMap(({ version }) => version ?? []);
      return versions.length === followers.length ? [[accountId, versions] as const] : [];
    });
    return new Map(known.flat());
  }

  /** Each has handed over what its log held. */
  get caughtUp(): boolean {
    return this.#behind.size === 0;
  }

  close(): void {
    this.follow(new Set(), new Map());
  }

  #begin(accountId: string, scope: string, from: bigint | undefined): Follower {
    const events = this.#events;
    const follower = this.#reader.follow(scope, {
      from,
      // The state is read record by record when it can be sent: here only the version counts.
      snapshot: () => Promise.resolve(),
      onSnapshot: () => events.began(accountId),
      onInSync: () => {
        this.#behind.delete(follower);
        events.caughtUp();
      },
      onDelta: ({ payload }) => events.changed(accountId, watchedIds(payload)),
    });
    this.#behind.add(follower);
    follower.done.catch((error: unknown) => events.failed(error instanceof Error ? error : new Error(String(error))));
    return follower;
  }
}
