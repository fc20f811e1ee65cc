import type { Transaction } from "kysely";
import type { Logger } from "../log/log.ts";
import type { Hint } from "./hint.ts";
import { HintBuffer } from "./hint-buffer.ts";
import type { Delta, LogReader } from "./log-reader.ts";
import type { Position } from "./position.ts";

type MaybePromise = void | Promise<void>;

/**
 * What becomes of a followed scope. Called one at a time, each awaited: a slow one is never called faster. Throwing ends the
 * follower, and `Follower.done` rejects with it.
 */
export interface FollowOptions<Tables, Items> {
  /** Go on after this version; without it the follower starts from a snapshot. */
  readonly from?: bigint | undefined;
  /** Mark of `from` (see Position). Without it, a version of a database that was set back meanwhile is taken for one of this. */
  readonly mark?: bigint | undefined;
  /** Read the whole state, in the transaction that also reads the version. */
  readonly snapshot: (tx: Transaction<Tables>) => Promise<Items>;
  /** The whole state at `version`, in place of all that came before. */
  readonly onSnapshot: (items: Items, version: bigint, mark: bigint) => MaybePromise;
  /** What was handed over is the state at `version`, which was the newest a moment ago. Once per start and per snapshot. */
  readonly onInSync?: (version: bigint, mark: bigint) => MaybePromise;
  readonly onDelta: (delta: Delta) => MaybePromise;
  /** The log is trimmed past our version, and the follower ends here. Without this it starts again from a snapshot by itself. */
  readonly onHistoryGone?: () => MaybePromise;
}

export interface Follower {
  /** The version handed over last; undefined before the first. */
  readonly version: bigint | undefined;
  /** Resolves when closed or after onHistoryGone; rejects with what a callback threw. */
  readonly done: Promise<void>;
  /** Resolves when all that the database had when this was called has been handed over, or the follower has ended. */
  catchUp(): Promise<void>;
  /** No callback begins after this returns; one that runs may end later (`done`). */
  close(): void;
}

export interface FollowerHost<Tables> {
  readonly log: Logger;
  readonly reader: LogReader<Tables>;
  /** Runs a read when few enough others run. */
  readonly limit: <Result>(read: () => Promise<Result>) => Promise<Result>;
  readonly count: (what: "snapshots" | "hints" | "rows") => void;
}

/** Follows one scope: hint where it fits, log where it does not, snapshot where the log is gone. */
export class ScopeFollower<Tables, Items> implements Follower {
  readonly scope: string;
  readonly done: Promise<void>;
  readonly #host: FollowerHost<Tables>;
  readonly #options: FollowOptions<Tables, Items>;
  readonly #hints = new HintBuffer();
  #have: bigint | undefined;
  /** Mark of `#have`, where it is known. */
  #mark: bigint | undefined;
  #asked: (() => void)[] = [];
  #level = -1n;
  #inSync = false;
  /** Something does not fit, or a read failed: ask the log whatever the level says. */
  #doubt = false;
  #closed = false;
  #wake = Promise.withResolvers<void>();

  constructor(scope: string, host: FollowerHost<Tables>, options: FollowOptions<Tables, Items>) {
    this.scope = scope;
    this.#host = host;
    this.#options = options;
    this.#have = options.from;
    this.#mark = options.mark;
    this.done = this.#run();
    // Whoever does not look at `done` must not lose the process to it; the failure is logged where it happens.
    this.done.catch(() => undefined);
  }

  get version(): bigint | undefined {
    return this.#have;
  }

  close(): void {
    this.#closed = true;
    this.#wake.resolve();
  }

  async catchUp(): Promise<void> {
    if (this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#asked.push(resolve);
    this.#doubt = true;
    this.#wake.resolve();
    await promise;
  }

  /** A hint came. Old ones are dropped; one that does not fit yet still says that there is something to read. */
  hint(hint: Hint): void {
    if (this.#have !== undefined && hint.version <= this.#have) return;
    if (hint.version > this.#level) this.#level = hint.version;
    this.#hints.add(hint);
    this.#wake.resolve();
  }

  /** Where the scope is in the database, from the check that every copy makes each second (C2). Also a retry after a failed read. */
  level({ version, mark }: Position): void {
    const same = this.#mark === undefined || this.#mark === mark;
    if (version === this.#have && same && this.#inSync && !this.#doubt) return;
    // Smaller than ours: asked before a hint came, or the database was set back. Set back and gone on, it has another mark. The log tells.
    if (this.#have !== undefined && (version < this.#have || (version === this.#have && !same))) this.#doubt = true;
    else this.#level = version;
    this.#wake.resolve();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closed) {
        const woken = (this.#wake = Promise.withResolvers<void>()).promise; // before the look: a wake-up after it is not lost
        if (!(await this.#step())) await woken;
      }
    } catch (error) {
      this.#closed = true;
      this.#host.log.error({ err: error, scope: this.scope }, "a follower failed");
      throw error;
    } finally {
      for (const resolve of this.#asked.splice(0)) resolve();
    }
  }

  /** Do one thing; false when there was nothing to do. */
  async #step(): Promise<boolean> {
    if (this.#have === undefined) return this.#takeSnapshot();
    const hint = this.#hints.on(this.#have);
    const fits = hint?.prevMark !== undefined && (this.#mark === undefined || this.#mark === hint.prevMark);
    if (fits && hint.delta !== undefined && hint.mark !== undefined) {
      this.#host.count("hints");
      await this.#apply({ version: hint.version, mark: hint.mark, payload: hint.delta });
      return true;
    }
    if (this.#inSync && this.#level <= this.#have && !this.#doubt) return false;
    return this.#readLog(this.#have);
  }

  async #takeSnapshot(): Promise<boolean> {
    const asked = this.#asked;
    this.#asked = [];
    const taken = await this.#read(() => this.#host.reader.snapshot(this.scope, (tx) => this.#options.snapshot(tx)));
    if (taken === undefined || this.#closed) return this.#askAgain(asked);
    const { at, items } = taken;
    this.#host.count("snapshots");
    await this.#options.onSnapshot(items, at.version, at.mark);
    this.#moveTo(at);
    this.#level = at.version > this.#level ? at.version : this.#level;
    await this.#declareInSync(at);
    for (const resolve of asked) resolve();
    return true;
  }

  async #readLog(have: bigint): Promise<boolean> {
    const asked = this.#asked;
    this.#asked = [];
    const answer = await this.#read(() => this.#host.reader.after(this.scope, { version: have, mark: this.#mark }));
    if (answer === undefined || this.#closed) return this.#askAgain(asked);
    if (answer.kind === "gone") {
      this.#askAgain(asked);
      return this.#historyGone();
    }
    for (const delta of answer.deltas) {
      if (this.#closed) return this.#askAgain(asked);
      this.#host.count("rows");
      await this.#apply(delta);
    }
    this.#doubt = false;
    this.#level = answer.level; // what the database says goes over what a hint said
    if (this.#have !== answer.level) {
      this.#askAgain(asked);
      return true; // there is more
    }
    await this.#declareInSync({ version: this.#have, mark: this.#mark ?? 0n });
    for (const resolve of asked) resolve();
    return true;
  }

  /** Whoever asked before a read that did not get to the end waits for the next. False: nothing was done. */
  #askAgain(asked: (() => void)[]): false {
    this.#asked.unshift(...asked);
    return false;
  }

  async #historyGone(): Promise<boolean> {
    this.#inSync = false;
    if (this.#options.onHistoryGone !== undefined) {
      await this.#options.onHistoryGone();
      this.#closed = true;
      return true;
    }
    this.#have = undefined;
    this.#mark = undefined;
    this.#doubt = false;
    this.#level = -1n;
    this.#hints.clear();
    return true;
  }

  async #apply(delta: Delta): Promise<void> {
    await this.#options.onDelta(delta);
    this.#moveTo(delta);
    if (delta.version > this.#level) this.#level = delta.version;
  }

  #moveTo({ version, mark }: Position): void {
    this.#have = version;
    this.#mark = mark;
    this.#hints.passed(version);
  }

  async #declareInSync({ version, mark }: Position): Promise<void> {
    if (this.#inSync || this.#closed) return;
    this.#inSync = true;
    await this.#options.onInSync?.(version, mark);
  }

  /** A read that fails is tried again at the next check: the database being away must not end a feed. */
  async #read<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await this.#host.limit(read);
    } catch (error) {
      this.#host.log.warn({ err: error, scope: this.scope }, "cannot read a scope; trying again");
      this.#doubt = true;
      return undefined;
    }
  }
}
