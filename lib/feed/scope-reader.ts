import type { Kysely } from "kysely";
import type { Bus, BusMessage, BusSubscription } from "../bus/bus.ts";
import type { Logger } from "../log/log.ts";
import { ScopeFollower } from "./follower.ts";
import type { FollowOptions, Follower } from "./follower.ts";
import { decodeHint, hintSubject, scopeKind } from "./hint.ts";
import { limiter } from "./limiter.ts";
import { createLogReader, NOTHING_YET } from "./log-reader.ts";

export interface ScopeReaderOptions<Tables> {
  readonly db: Kysely<Tables>;
  /** Where `scope` and `change` are: the service's own schema, or one of views onto another's. */
  readonly schema: string;
  readonly bus: Bus;
  readonly log: Logger;
  /** How often the versions of all followed scopes are compared with the database's; default 1,000. */
  readonly checkEveryMs?: number;
  /** Reads at the same time at most; default 4. */
  readonly concurrentReads?: number;
}

export interface ScopeReaderStats {
  readonly followers: number;
  readonly snapshots: number;
  /** Changes taken from hints. */
  readonly hints: number;
  /** Changes read from the log. */
  readonly rows: number;
}

/** Follows any number of scopes of one feed, with one check a second and one subscription per kind of scope for all of them. */
export interface ScopeReader<Tables> {
  follow<Items>(scope: string, options: FollowOptions<Tables, Items>): Follower;
  stats(): ScopeReaderStats;
  /** Ends all followers and waits for their last callbacks. */
  close(): Promise<void>;
}

type AnyFollower<Tables> = Pick<ScopeFollower<Tables, unknown>, "scope" | "hint" | "level" | "close" | "done">;

interface Kind {
  readonly subscription: BusSubscription;
  followers: number;
}

export function createScopeReader<Tables>(options: ScopeReaderOptions<Tables>): ScopeReader<Tables> {
  const { bus, log } = options;
  const reader = createLogReader(options.db, options.schema);
  const byScope = new Map<string, Set<AnyFollower<Tables>>>();
  const kinds = new Map<string, Kind>();
  const counts = { snapshots: 0, hints: 0, rows: 0 };
  const host = {
    log,
    reader,
    limit: limiter(options.concurrentReads ?? 4),
    count: (what: keyof typeof counts) => void (counts[what] += 1),
  };
  let checking: Promise<void> = Promise.resolve();
  let checkRuns = false;
  let closed = false;

  const onMessage = (message: BusMessage): void => {
    const hint = decodeHint(message.data);
    for (const follower of byScope.get(hint.scope) ?? []) follower.hint(hint);
  };

  const check = async (): Promise<void> => {
    const scopes = [...byScope.keys()];
    if (scopes.length === 0) return;
    try {
      const levels = await reader.levels(scopes);
      for (const scope of scopes) for (const follower of byScope.get(scope) ?? []) follower.level(levels.get(scope) ?? NOTHING_YET);
    } catch (error) {
      log.warn({ err: error }, "cannot compare the versions of scopes");
    }
  };

  const timer = setInterval(() => {
    if (checkRuns) return;
    checkRuns = true;
    checking = check().finally(() => (checkRuns = false));
  }, options.checkEveryMs ?? 1_000);

  const enter = (kind: string): void => {
    const known = kinds.get(kind);
    if (known !== undefined) known.followers += 1;
    else kinds.set(kind, { subscription: bus.subscribe(hintSubject(kind), onMessage), followers: 1 });
  };

  const leave = (kind: string): void => {
    const known = kinds.get(kind);
    if (known === undefined) return;
    known.followers -= 1;
    if (known.followers > 0) return;
    known.subscription.unsubscribe();
    kinds.delete(kind);
  };

  return {
    follow(scope, followOptions) {
      if (closed) throw new Error("the reader is closed");
      const kind = scopeKind(scope);
      enter(kind); // subscribe first, then read the level (C3)
      const follower = new ScopeFollower(scope, host, followOptions);
      const followers = byScope.get(scope) ?? new Set();
      byScope.set(scope, followers.add(follower));
      const forget = (): void => {
        followers.delete(follower);
        if (followers.size === 0 && byScope.get(scope) === followers) byScope.delete(scope);
        leave(kind);
      };
      follower.done.then(forget, forget);
      return follower;
    },
    stats: () => ({ followers: [...byScope.values()].reduce((sum, set) => sum + set.size, 0), ...counts }),
    async close() {
      closed = true;
      clearInterval(timer);
      const followers = [...byScope.values()].flatMap((set) => [...set]);
      for (const follower of followers) follower.close();
      await Promise.allSettled(followers.map((follower) => follower.done));
      await checking;
    },
  };
}
