import { setTimeout as after } from "node:timers/promises";
import { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import type { WatchInterfacesResponse } from "#gen/plenum/nivc/v1/interface_service.ts";
import { chunksOf } from "#lib/feed/feed.ts";
import type { Limiter, ScopeReader } from "#lib/feed/feed.ts";
import { Wake } from "../identity/api.ts";
import { Unsettled } from "./core/unsettled.ts";
import type { WatchPlace } from "./core/watch-place.ts";
import { FollowedAccounts } from "./out/followed-accounts.ts";
import type { WatchView } from "./in/watch-view.ts";

/** Records read in one transaction. */
const PAGE = 250;
/** Records that wait for a slow reader at most; one more, and it gets a snapshot instead. */
export const MAX_WAITING = 50_000;

export interface WatchTimes {
  /** Milliseconds between looks at the caller's right and at what changes without a write. */
  readonly lookMs: number;
  /** The same once after something was told that is not settled. */
  readonly soonMs: number;
  /** Milliseconds between the times at which changes are told, at least: those that come meanwhile are told together. */
  readonly paceMs: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export const WATCH_TIMES: WatchTimes = { lookMs: 10_000, soonMs: 1_000, paceMs: 100, now: () => performance.now() };

export interface WatchOptions {
  readonly reader: ScopeReader<unknown>;
  /** What the caller may see, whenever it is asked. */
  readonly view: WatchView;
  /** Bounds the reads of all watches together: calls go first. */
  readonly limit: Limiter;
  /** Go on from here; undefined: begin with a snapshot. */
  readonly from: WatchPlace | undefined;
  readonly seal: (place: WatchPlace) => string;
  readonly signal: AbortSignal;
  readonly times?: WatchTimes;
}

type Event = NonNullable<WatchInterfacesResponse["event"]>;

/**
 * One open WatchInterfaces. Scopes say which records to look at; a record is read, with the caller's right, when it can be sent. What is
 * remembered of a slow reader is one id a record. Messages: see the proto.
 */
export class InterfaceWatch {
  readonly #options: WatchOptions;
  readonly #times: WatchTimes;
  readonly #own: string;
  readonly #scopes: FollowedAccounts;
  readonly #wake = new Wake();
  readonly #unsettled = new Unsettled();
  #waiting = new Set<string>();
  #clock: Date | undefined;
  #failure: Error | undefined;
  /** A snapshot is to be sent: the first one, or one instead of changes that are gone. */
  #snapshotDue = false;
  #inSync = false;
  /** Something was sent, or is gone on with: a snapshot now is told as one. */
  #begun: boolean;
  #snapshotSent = false;
  #lookAt: number;
  #toldAt = -Infinity;
  #bookmark = "";

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#times = options.times ?? WATCH_TIMES;
    this.#own = options.view.accountId;
    this.#begun = options.from !== undefined;
    this.#clock = options.from?.clock;
    this.#lookAt = this.#times.now();
    this.#scopes = new FollowedAccounts(options.reader, {
      changed: (accountId, ids) => this.#wait(accountId === this.#own ? ids : ids.filter((id) => options.view.shares(id))),
      began: (accountId) => {
        if (accountId === this.#own) this.#snapshotDue = true;
        else this.#wait(options.view.shared());
        this.#wake.wake();
      },
      caughtUp: () => this.#wake.wake(),
      failed: (error) => {
        this.#failure = error;
        this.#wake.wake();
      },
    });
  }

  /** The steps in order, as fast as they are taken. Throws when the stream must fail. */
  async *events(): AsyncGenerator<Event, void, undefined> {
    const { signal } = this.#options;
    try {
      this.#follow([]); // subscribe first, then read the level (C3)
      for (;;) {
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#times.now() >= this.#lookAt) yield* this.#look();
        else if (this.#snapshotDue && this.#scopes.caughtUp) yield* this.#snapshot();
        else if (!this.#snapshotDue && (this.#waiting.size > 0 || (this.#scopes.caughtUp && !this.#inSync))) yield* this.#tell();
        else await this.#wake.wait(Math.max(0, this.#lookAt - this.#times.now()), signal);
      }
    } finally {
      this.#scopes.close();
    }
  }

  #wait(ids: Iterable<string>): void {
    for (const id of ids) this.#waiting.add(id);
    if (this.#waiting.size > MAX_WAITING) {
      this.#waiting.clear();
      this.#snapshotDue = true;
    }
    this.#wake.wake();
  }

  /** The own account, and those that share something with it. */
  #follow(owners: readonly string[]): void {
    this.#scopes.follow(new Set([this.#own, ...owners]), this.#options.from?.versions ?? new Map());
  }

  async #read<Result>(read: () => Promise<Result>): Promise<Result> {
    const result = await this.#options.limit(read);
    this.#follow(this.#options.view.owners());
    return result;
  }

  /** The caller's right again, what began or ended with the time, and what was not settled. */
  async *#look(): AsyncGenerator<Event, void, undefined> {
    this.#lookAt = this.#times.now() + this.#times.lookMs;
    const recheck = this.#inSync ? this.#unsettled.ids : [];
    const seen = await this.#read(() => this.#options.view.look(this.#clock, recheck));
    this.#clock = seen.clock;
    this.#wait(seen.turned);
    yield* this.#upserted(seen.records.filter((record) => this.#unsettled.differs(record)));
    if (this.#inSync && this.#waiting.size === 0) yield* this.#mark(this.#place());
  }

  async *#snapshot(): AsyncGenerator<Event, void, undefined> {
    if (this.#begun) yield { $case: "historyGone", value: {} };
    this.#begun = true;
    this.#snapshotDue = false;
    this.#inSync = false;
    this.#snapshotSent = true;
    this.#unsettled.clear();
    for (let last = ""; !this.#snapshotDue;) {
      for (const id of this.#waiting) if (id > last) this.#waiting.delete(id); // is read below, as it is by then
      const page = await this.#read(() => this.#options.view.page(last, PAGE));
      for (const interfaces of messagesOf(page.records)) {
        yield { $case: "snapshot", value: { interfaces } };
      }
      this.#settle(page.records);
      if (page.last === "") return;
      last = page.last;
    }
  }

  /** All that waits now; then, once, that this was all, and how far it went. */
  async *#tell(): AsyncGenerator<Event, void, undefined> {
    const pause = this.#toldAt + this.#times.paceMs - this.#times.now();
    if (pause > 0) await after(pause, undefined, { signal: this.#options.signal });
    this.#toldAt = this.#times.now();
    const ids = [...this.#waiting];
    const place = this.#place();
    const { caughtUp } = this.#scopes;
    this.#waiting = new Set();
    for (let at = 0; at < ids.length; at += PAGE) {
      const { records, gone } = await this.#read(() => this.#options.view.records(ids.slice(at, at + PAGE)));
      yield* this.#upserted(records);
      for (const id of gone) this.#unsettled.forget(id);
      if (gone.length > 0) yield { $case: "deleted", value: { interfaceIds: [...gone] } };
      if (this.#snapshotDue) return;
    }
    if (caughtUp && !this.#inSync) {
      this.#inSync = true;
      yield { $case: "inSync", value: { snapshot: this.#snapshotSent } };
      this.#snapshotSent = false;
    }
    if (this.#inSync) yield* this.#mark(place);
  }

  *#upserted(records: readonly Interface[]): Generator<Event, void, undefined> {
    for (const interfaces of messagesOf(records)) yield { $case: "upserted", value: { interfaces } };
    this.#settle(records);
  }

  #settle(records: readonly Interface[]): void {
    let open = false;
    for (const record of records) open = this.#unsettled.told(record) || open;
    if (open) this.#lookAt = Math.min(this.#lookAt, this.#times.now() + this.#times.soonMs);
  }

  /** What was handed over by now and will be told next; undefined: nothing to come back to yet. */
  #place(): WatchPlace | undefined {
    const versions = this.#scopes.versions();
    return this.#clock === undefined || !versions.has(this.#own) ? undefined : { clock: this.#clock, versions };
  }

  *#mark(place: WatchPlace | undefined): Generator<Event, void, undefined> {
    if (place === undefined) return;
    const resumeToken = this.#options.seal(place);
    if (resumeToken === this.#bookmark) return;
    this.#bookmark = resumeToken;
    yield { $case: "bookmark", value: { resumeToken } };
  }
}

const messagesOf = (records: readonly Interface[]) => chunksOf(records, (record) => Interface.encode(record).finish().length);
