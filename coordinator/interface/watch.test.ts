import { expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { limiter } from "#lib/feed/feed.ts";
import type { Follower, FollowOptions, ScopeReader } from "#lib/feed/feed.ts";
import type { WatchPlace } from "./core/watch-place.ts";
import type { WatchView } from "./in/watch-view.ts";
import { InterfaceWatch, MAX_WAITING } from "./watch.ts";

// One watch against an account in memory: what a reader gets who reads when it likes.

const OWN = "acct-own";
const MARK = 1n;
const idOf = (n: number): string => `eni-${n.toString(16).padStart(32, "0")}`;

/** The log of one account's scopes, and what its records read like now. */
class Account {
  readonly records = new Map<string, Interface>();
  readonly #followers = new Map<string, { options: FollowOptions<unknown, unknown>; follower: { version: bigint | undefined } }>();
  bytes = 0;
  reads = 0;
  looks = 0;
  refusal: Error | undefined;

  readonly reader = {
    follow: (scope: string, options: FollowOptions<unknown, unknown>): Follower => {
      const follower = { version: options.from, done: Promise.resolve(), catchUp: () => Promise.resolve(), close: () => undefined };
      this.#followers.set(scope, { options, follower });
      if (options.from === undefined) queueMicrotask(() => void this.#begin(scope));
      else queueMicrotask(() => void options.onInSync?.(options.from ?? 0n, MARK));
      return follower;
    },
    stats: () => ({ followers: 0, snapshots: 0, hints: 0, rows: 0 }),
    close: () => Promise.resolve(),
  } as ScopeReader<unknown>;

  async #begin(scope: string): Promise<void> {
    const one = this.#followers.get(scope);
    await one?.options.onSnapshot(undefined, 0n, MARK);
    if (one !== undefined) one.follower.version = 0n;
    await one?.options.onInSync?.(0n, MARK);
  }

  async change(ids: readonly string[]): Promise<void> {
    const one = this.#followers.get(`watch:${OWN}/0`);
    if (one === undefined) throw new Error("nobody follows");
    const version = (one.follower.version ?? 0n) + 1n;
    await one.options.onDelta({ version, mark: MARK, payload: Buffer.from(ids.map((id) => `${id}\n`).join("")) });
    one.follower.version = version;
  }

  /** The log is gone: the follower starts anew. */
  forget(): Promise<void> {
    return this.#begin(`watch:${OWN}/0`);
  }

  put(n: number, description = "", status?: ConditionStatus): string {
    const conditions = status === undefined ? [] : [{ type: "Programmed", status, reason: "r" }];
    this.records.set(
      idOf(n),
      Interface.fromPartial({ interfaceId: idOf(n), description: description.padEnd(this.bytes, "x"), attachments: [{ conditions }] }),
    );
    return idOf(n);
  }

  get view(): WatchView {
    const read = <Result>(result: () => Result): Promise<Result> => {
      this.reads += 1;
      return this.refusal === undefined ? Promise.resolve(result()) : Promise.reject(this.refusal);
    };
    const view: Pick<WatchView, "accountId" | "shares" | "shared" | "owners" | "page" | "records" | "look"> = {
      accountId: OWN,
      shares: () => false,
      shared: () => new Set(),
      owners: () => [],
      page: (after, limit) =>
        read(() => {
          const ids = [...this.records.keys()].filter((id) => id > after).sort();
          const page = ids.slice(0, limit);
          return { records: page.flatMap((id) => this.records.get(id) ?? []), last: ids.length <= limit ? "" : (page.at(-1) ?? "") };
        }),
      records: (ids) =>
        read(() => ({ records: ids.flatMap((id) => this.records.get(id) ?? []), gone: ids.filter((id) => !this.records.has(id)) })),
      look: (_since, ids) =>
        read(() => {
          this.looks += 1;
          return { clock: new Date(this.looks), turned: [], records: ids.flatMap((id) => this.records.get(id) ?? []) };
        }),
    };
    return view as WatchView;
  }
}

function start(account: Account, from?: WatchPlace) {
  const time = { now: 0 };
  const aborted = new AbortController();
  const places: WatchPlace[] = [];
  const watch = new InterfaceWatch({
    reader: account.reader,
    view: account.view,
    limit: limiter(1),
    from,
    seal: (place) => `${places.push(place)}`,
    signal: aborted.signal,
    times: { lookMs: 10_000, soonMs: 1_000, paceMs: 0, now: () => time.now },
  });
  const events = watch.events();
  const next = async () => (await events.next()).value;
  const ids = (event: Awaited<ReturnType<typeof next>>): string[] => {
    if (event?.$case === "snapshot" || event?.$case === "upserted") return event.value.interfaces.map((one) => one.interfaceId);
    return event?.$case === "deleted" ? event.value.interfaceIds : [];
  };
  const upTo = async (kind: string) => {
    const seen: { kind: string; ids: string[] }[] = [];
    for (;;) {
      const event = await next();
      seen.push({ kind: event?.$case ?? "end", ids: ids(event) });
      if (event === undefined || event.$case === kind) return seen;
    }
  };
  return { events, next, upTo, time, places, stop: () => aborted.abort() };
}

test("a reader that comes back after many changes of one record gets it once, as it is", async () => {
  const account = new Account();
  const one = account.put(1, "first");
  const watch = start(account);
  await watch.upTo("bookmark");
  for (let n = 0; n < 1_000; n += 1) await account.change([account.put(1, `change ${n}`)]);
  expect(await watch.next()).toMatchObject({
    $case: "upserted",
    value: { interfaces: [{ interfaceId: one, description: "change 999" }] },
  });
  expect(await watch.next()).toMatchObject({ $case: "bookmark" });
});

test("messages have at most a mebibyte, or one record", async () => {
  const account = new Account();
  account.bytes = 300_000;
  for (let n = 0; n < 10; n += 1) account.put(n);
  const told = await start(account).upTo("inSync");
  expect(told.map(({ ids }) => ids.length)).toEqual([3, 3, 3, 1, 0]);
});

test("what changes while the snapshot is sent is told with it or after it, and a bookmark is never ahead", async () => {
  const account = new Account();
  for (let n = 0; n < 600; n += 1) account.put(n);
  const watch = start(account);
  expect((await watch.next())?.$case).toBe("snapshot"); // 250 of them
  account.put(10, "behind");
  account.put(590, "before it");
  account.records.delete(idOf(20));
  await account.change([idOf(10), idOf(590), idOf(20)]);
  const told = await watch.upTo("bookmark");
  expect(told.map(({ kind, ids }) => [kind, ids.length])).toEqual([
    ["snapshot", 250],
    ["snapshot", 100],
    ["upserted", 1],
    ["deleted", 1],
    ["inSync", 0],
    ["bookmark", 0],
  ]);
  expect(told.flatMap(({ kind, ids }) => (kind === "upserted" || kind === "deleted" ? ids : []))).toEqual([idOf(10), idOf(20)]);
  expect(watch.places.at(-1)?.versions.get(OWN)?.[0]).toBe(1n);
  await account.change([idOf(30)]);
  expect((await watch.next())?.$case).toBe("upserted");
  await account.change([idOf(31)]); // after what the next bookmark is about was read
  expect((await watch.next())?.$case).toBe("bookmark");
  expect(watch.places.at(-1)?.versions.get(OWN)?.[0]).toBe(2n);
});

test("history that is gone, and a reader for whom too much waits, mean a snapshot in the same stream", async () => {
  const account = new Account();
  const one = account.put(1);
  const watch = start(account);
  await watch.upTo("bookmark");
  await account.forget();
  expect((await watch.upTo("inSync")).map(({ kind }) => kind)).toEqual(["historyGone", "snapshot", "inSync"]);
  await watch.upTo("bookmark");
  await account.change(Array.from({ length: MAX_WAITING + 1 }, (_, n) => idOf(n + 2)));
  const told = await watch.upTo("inSync");
  expect(told.map(({ kind }) => kind)).toEqual(["historyGone", "snapshot", "inSync"]);
  expect(told[1]?.ids).toEqual([one]);
});

test("a resumed watch has no snapshot", async () => {
  const account = new Account();
  account.put(1);
  const versions = new Map([[OWN, Array.from({ length: 16 }, () => 3n)]]);
  const watch = start(account, { clock: new Date(0), versions });
  const event = await watch.next();
  expect(event).toEqual({ $case: "inSync", value: { snapshot: false } });
});

test("what is not settled is looked at again, and told when it reads otherwise", async () => {
  const account = new Account();
  const one = account.put(1, "", ConditionStatus.FALSE);
  account.put(2, "", ConditionStatus.TRUE);
  const watch = start(account);
  await watch.upTo("bookmark");
  account.put(1, "", ConditionStatus.TRUE);
  account.put(2, "", ConditionStatus.UNKNOWN); // nobody said so: told with its next change
  watch.time.now = 1_000;
  expect(await watch.upTo("bookmark")).toEqual([
    { kind: "upserted", ids: [one] },
    { kind: "bookmark", ids: [] },
  ]);
});

test("a right that ends is noticed at the next look without any change, and with a change at once", async () => {
  const account = new Account();
  account.put(1);
  for (const change of [false, true]) {
    account.refusal = undefined;
    const watch = start(account);
    await watch.upTo("bookmark");
    account.refusal = new Error("no longer");
    if (change) await account.change([idOf(1)]);
    else watch.time.now = 10_000;
    await expect(watch.next()).rejects.toThrow("no longer");
    expect(await watch.events.next()).toEqual({ done: true, value: undefined });
  }
});

test("an aborted watch ends, also while it waits", async () => {
  const account = new Account();
  const watch = start(account);
  await watch.upTo("bookmark");
  const waiting = watch.next();
  watch.stop();
  await expect(waiting).rejects.toThrow(/abort/i);
});
