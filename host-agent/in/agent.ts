import { CounterNews } from "../core/counters.ts";
import type { Datapath } from "../core/ports.ts";
import type { PassResult, Reconciler } from "../core/reconciler.ts";
import type { HostFeedHandler, HostSession } from "./host-session.ts";
import type { MappingFeedHandler, MappingSession } from "./mapping-session.ts";

const COUNTERS_MS = 1_000;
/** Devices that their guests deleted are looked for in every fifth round of the counters. */
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
  #news = new CounterNews();
  #toldVersion = 0n;
  #watching = 0;

  constructor(options: { reconciler: Reconciler; datapath: Datapath; observer: AgentObserver }) {
    const { reconciler } = options;
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
    };
    this.mappingFeed = {
      replace(vni, mappings, version) {
        reconciler.mappings.replace(vni, mappings, version);
        wake();
      },
      change(vni, items, version) {
        reconciler.mappings.change(vni, items, version);
        wake();
      },
      held: (vni) => reconciler.mappings.wantedVersion(vni),
    };
  }

  start(sessions: { host: HostSession; mappings: MappingSession }): void {
    this.#sessions = sessions;
    this.#ticker = setInterval(() => this.#tick(), COUNTERS_MS);
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

  /** For the reconciler: last readings, sent before their attachments are reported as gone. */
  reportFinal(meterIds: readonly bigint[]): boolean {
    const host = this.#sessions?.host;
    if (host?.inSync === undefined) return false;
    const wanted = new Set(meterIds);
    try {
      const readings = this.#datapath.readMeters().filter(({ meterId }) => wanted.has(meterId));
      const report = new CounterNews().take(readings, [], wanted);
      return report.meters.length === 0 || host.sendCounters(report, new Date());
    } catch (error) {
      this.#observer.readFailed(error);
      setTimeout(() => this.wake(), COUNTERS_MS).unref();
      return false;
    }
  }

  #pass(): void {
    clearTimeout(this.#timer);
    const start = performance.now();
    const result = this.#reconciler.pass();
    if (this.#watching !== this.#reconciler.networksGeneration) {
      this.#watching = this.#reconciler.networksGeneration;
      this.#sessions?.mappings.watch(this.#reconciler.watchedNetworks());
    }
    this.#answer(result);
    this.#observer.passed((performance.now() - start) / 1_000, result);
    if (!result.complete) this.wake();
    else if (result.wakeAt !== undefined) this.#timer = setTimeout(() => this.wake(), Math.max(0, result.wakeAt - performance.now()));
  }

  #answer(result: PassResult): void {
    const host = this.#sessions?.host;
    const session = host?.inSync;
    if (host === undefined || session === undefined) return;
    const { statuses, appliedVersion } = this.#reconciler;
    const first = this.#told !== session;
    if (first) {
      // Readings that a broken session may have lost come before the word that their attachments are gone.
      this.#told = session;
      this.#news = new CounterNews();
      this.#sendCounters();
    }
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
    try {
      if (this.#reconciler.observe()) this.wake();
    } catch (error) {
      this.#observer.readFailed(error);
    }
  }

  #tick(): void {
    this.#round += 1;
    if (this.#round % OBSERVE_EVERY === 0) this.observe();
    this.#sendCounters();
  }

  #sendCounters(): void {
    const host = this.#sessions?.host;
    if (host?.inSync === undefined || this.#told !== host.inSync) return;
    try {
      const report = this.#news.take(this.#datapath.readMeters(), this.#datapath.readDrops());
      if (report.meters.length + report.drops.length > 0) host.sendCounters(report, new Date());
    } catch (error) {
      this.#observer.readFailed(error);
    }
  }
}
