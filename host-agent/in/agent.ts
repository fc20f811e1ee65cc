import { CounterNews } from "../core/counters.ts";
import type { CounterReport } from "../core/counters.ts";
import type { MeterKey } from "../core/meters.ts";
import type { Datapath, NetworkNews } from "../core/ports.ts";
import type { PassResult, Reconciler } from "../core/reconciler.ts";
import type { SubstrateStanding } from "../core/substrate.ts";
import type { HostFeedHandler, HostSession } from "./host-session.ts";
import type { MappingFeedHandler, MappingSession } from "./mapping-session.ts";

const COUNTERS_MS = 1_000;
/** What changed by itself is looked for in every fifth round of the counters, whether the kernel told of it or not. */
const OBSERVE_EVERY = 5;

export interface AgentObserver {
  /** A pass has ended; seconds it took. */
  passed(seconds: number, result: PassResult): void;
  /** The kernel could not be read; it is tried again. */
  readFailed(error: unknown): void;
}

/**
 * Turns what the feeds tell into passes of the reconciler, and what the passes did into answers. A message wakes a pass at once (in the
 * same turn of the event loop's I/O phase, so that a burst is one pass); nothing on this path waits for a timer.
 */
export class Agent {
  readonly hostFeed: HostFeedHandler;
  readonly mappingFeed: MappingFeedHandler;
  readonly #reconciler: Reconciler;
  readonly #datapath: Datapath;
  readonly #observer: AgentObserver;
  #sessions: { host: HostSession; mappings: MappingSession } | undefined;
  #scheduled: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #round = 0;
  #stopped = false;
  /** Session that was told everything. */
  #told: number | undefined;
  readonly #news = new CounterNews();
  #toldVersion = 0n;
  #watching = 0;
  readonly #networkNews: () => NetworkNews;
  #standing: SubstrateStanding;

  /** `networkNews`: what the kernel told since it was last asked. */
  constructor(options: { reconciler: Reconciler; datapath: Datapath; networkNews: () => NetworkNews; observer: AgentObserver }) {
    const { reconciler } = options;
    this.#networkNews = options.networkNews;
    this.#standing = reconciler.substrate.standing;
    this.#reconciler = reconciler;
    this.#datapath = options.datapath;
    this.#observer = options.observer;
    const wake = (): void => this.wake();
    this.hostFeed = {
      beginSnapshot: () => reconciler.host.beginSnapshot(),
      resume: (version) => reconciler.host.resume(version),
      change(change, bookmark) {
        reconciler.host.change(change, bookmark);
        if (!change.inSnapshot) wake();
      },
      owed: (owed) => reconciler.host.owed(owed),
      complete(version, bookmark) {
        reconciler.host.complete(version, bookmark);
        wake();
      },
      bookmark: () => reconciler.host.bookmark,
      distrust: () => reconciler.host.distrust(),
      countersAcknowledged: (sequence) => {
        this.#news.acknowledge(sequence);
        if (reconciler.interfaces.meters.lingering) wake();
      },
    };
    this.mappingFeed = {
      replace(vni, pieces, version) {
        reconciler.mappings.replace(vni, pieces, version);
        wake();
      },
      change(vni, change, version) {
        reconciler.mappings.change(vni, change, version);
        wake();
      },
      held: (vni) => reconciler.mappings.wantedVersion(vni),
    };
  }

  start(sessions: { host: HostSession; mappings: MappingSession }): void {
    this.#sessions = sessions;
    this.#ticker = setInterval(() => this.#tick(), COUNTERS_MS);
    this.wake(); // a predecessor may have left something that cannot wait for a feed
  }

  /** No pass and no reading after this. The kernel stays as it is. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#scheduled);
    clearTimeout(this.#timer);
    clearInterval(this.#ticker);
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#stopped) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#pass();
    });
  }

  /** For the reconciler: last readings, sent before their attachments are reported as gone. False: no session has been told all else. */
  reportFinal(meters: readonly MeterKey[]): boolean {
    if (!this.#isTold()) return false;
    try {
      const readings = this.#datapath.readMeters(meters.map(({ meterId }) => meterId));
      const drops = this.#datapath.readDrops([...new Set(meters.map(({ wireId }) => wireId))]);
      return this.#send(this.#news.take(readings, drops));
    } catch (error) {
      this.#observer.readFailed(error);
      setTimeout(() => this.wake(), COUNTERS_MS).unref();
      return false;
    }
  }

  /** For the reconciler: whether a meter's last reading is committed. Undefined: this session's coordinator does not say. */
  isSafe(meter: MeterKey): boolean | undefined {
    if (!this.#isTold()) return false;
    return this.#sessions?.host.acknowledgesCounters === true ? this.#news.isSafe(meter) : undefined;
  }

  #pass(): void {
    clearTimeout(this.#timer);
    const start = performance.now();
    const first = this.#greet();
    const result = this.#reconciler.pass();
    this.#tellStanding();
    if (this.#watching !== this.#reconciler.networksGeneration) {
      this.#watching = this.#reconciler.networksGeneration;
      this.#sessions?.mappings.watch(this.#reconciler.watchedNetworks());
    }
    this.#answer(result, first);
    this.#observer.passed((performance.now() - start) / 1_000, result);
    if (!result.complete) this.wake();
    else if (result.wakeAt !== undefined) this.#timer = setTimeout(() => this.wake(), Math.max(0, result.wakeAt - performance.now()));
  }

  /**
   * A session that is new is told all that no earlier one acknowledged: readings that a broken one may have lost come before the word that
   * their attachments are gone. True: it is new.
   */
  #greet(): boolean {
    const host = this.#sessions?.host;
    if (host?.inSync === undefined || this.#told === host.inSync) return false;
    this.#told = host.inSync;
    this.#news.begin(host.acknowledgesCounters);
    this.#sendCounters();
    return true;
  }

  #answer(result: PassResult, first: boolean): void {
    const host = this.#sessions?.host;
    if (host?.inSync === undefined) return;
    const { statuses, appliedVersion } = this.#reconciler;
    const networkVersions =
      first || result.networks.length > 0 ? this.#networkVersions(first ? undefined : new Set(result.networks)) : new Map();
    if (!first && !statuses.hasNew && networkVersions.size === 0 && appliedVersion === this.#toldVersion) return;
    this.#toldVersion = appliedVersion;
    host.sendApplied({ hostVersion: appliedVersion, networkVersions, ...(first ? statuses.takeAll() : statuses.takeNew()) });
    if (!first && result.networks.length === 0) this.#sessions?.mappings.retryRefused();
  }

  /** Applied versions by network; of these VNIs only, or of all. */
  #networkVersions(vnis: ReadonlySet<number> | undefined): Map<bigint, bigint> {
    const versions = new Map<bigint, bigint>();
    for (const [networkId, { vni }] of this.#reconciler.watchedNetworks()) {
      if (vnis?.has(vni) === false) continue;
      const version = this.#reconciler.mappings.appliedVersion(vni);
      if (version !== undefined) versions.set(networkId, version);
    }
    return versions;
  }

  /** Looks for what changed by itself, now: a process that ended. */
  observe(): void {
    this.#look(() => this.#reconciler.observe());
  }

  #look(changed: () => boolean): void {
    try {
      if (!changed()) return;
      this.#tellStanding();
      this.wake();
    } catch (error) {
      this.#observer.readFailed(error);
    }
  }

  /** At once, so that also what the next pass repairs has been told. */
  #tellStanding(): void {
    const { standing } = this.#reconciler.substrate;
    if (standing === this.#standing) return;
    this.#standing = standing;
    this.#sessions?.host.beat();
  }

  #tick(): void {
    this.#round += 1;
    this.#look(() => this.#reconciler.heed(this.#networkNews()));
    if (this.#round % OBSERVE_EVERY === 0) this.observe();
    this.#sendCounters();
    if (this.#reconciler.interfaces.meters.lingering) this.wake();
  }

  /** Whether a session is in sync and was told what there was at its start. */
  #isTold(): boolean {
    const session = this.#sessions?.host.inSync;
    return session !== undefined && this.#told === session;
  }

  #sendCounters(): void {
    if (!this.#isTold()) return;
    try {
      this.#send(this.#news.takeAll(this.#datapath.readMeters(), this.#datapath.readDrops()));
    } catch (error) {
      this.#observer.readFailed(error);
    }
  }

  /** False: the session is over, and the next is told it. */
  #send(report: CounterReport | undefined): boolean {
    if (report === undefined) return true;
    const counters = { readTime: new Date(), epoch: this.#datapath.counterEpoch(), ...report };
    return this.#sessions?.host.sendCounters(counters) === true;
  }
}
