import type { Follower, Position, ScopeReader } from "#lib/feed/feed.ts";
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

/** One scope that is followed, and what of it was handed over; undefined: nothing yet. */
interface Followed {
  readonly follower: Follower;
  at: Position | undefined;
}

/** The accounts that one watch follows, each of their scopes by a follower of lib/feed. */
export class FollowedAccounts {
  readonly #reader: ScopeReader<unknown>;
  readonly #events: FollowedEvents;
  readonly #followed = new Map<string, readonly Followed[]>();
  /** Those that have not handed over yet what their log held. */
  readonly #behind = new Set<Followed>();

  constructor(reader: ScopeReader<unknown>, events: FollowedEvents) {
    this.#reader = reader;
    this.#events = events;
  }

  /** Follow exactly these accounts; what begins to be followed goes on from `from`, where that names it. */
  follow(accountIds: ReadonlySet<string>, from: ReadonlyMap<string, readonly Position[]>): void {
    for (const [accountId, parts] of this.#followed) {
      if (accountIds.has(accountId)) continue;
      for (const part of parts) {
        part.follower.close();
        this.#behind.delete(part);
      }
      this.#followed.delete(accountId);
    }
    for (const accountId of accountIds) {
      if (this.#followed.has(accountId)) continue;
      const known = from.get(accountId);
      this.#followed.set(
        accountId,
        watchScopes(accountId).map((scope, part) => this.#begin(accountId, scope, known?.[part])),
      );
    }
  }

  /** What was handed over; an account whose following has not wholly begun is left out. */
  positions(): Map<string, readonly Position[]> {
    const known = [...this.#followed].map(([accountId, parts]) => {
      const positions = parts.flatMap(({ at }) => at ?? []);
      return positions.length === parts.length ? [[accountId, positions] as const] : [];
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

  #begin(accountId: string, scope: string, from: Position | undefined): Followed {
    const events = this.#events;
    const follower = this.#reader.follow(scope, {
      from: from?.version,
      mark: from?.mark,
      // The state is read record by record when it can be sent: here only the position counts.
      snapshot: () => Promise.resolve(),
      onSnapshot: (_none, version, mark) => {
        events.began(accountId);
        followed.at = { version, mark };
      },
      onInSync: () => {
        this.#behind.delete(followed);
        events.caughtUp();
      },
      onDelta: ({ version, mark, payload }) => {
        events.changed(accountId, watchedIds(payload));
        followed.at = { version, mark };
      },
    });
    const followed: Followed = { follower, at: from };
    this.#behind.add(followed);
    follower.done.catch((error: unknown) => events.failed(error instanceof Error ? error : new Error(String(error))));
    return followed;
  }
}
