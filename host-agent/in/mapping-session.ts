import type { MappingServiceClient, WatchMappingsRequest, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Logger } from "#lib/log/log.ts";
import type { PackedRecords } from "#lib/mapping/packed.ts";
import { MappingReceiver } from "#lib/mapping/receiver.ts";
import type { MappingBookmark, MappingEffect } from "#lib/mapping/receiver.ts";
import { backoffMs, type Backoff } from "#lib/retry/backoff.ts";
import type { MappingChange } from "../core/mappings.ts";
import { Outbox } from "./outbox.ts";
import { reconnect } from "./reconnect.ts";

/** Called in the order of the stream; must not wait. */
export interface MappingFeedHandler {
  /** A network whole, as of a version. */
  replace(vni: number, pieces: readonly PackedRecords[], version: bigint): void;
  /** One version's changes. */
  change(vni: number, change: MappingChange, version: bigint): void;
  /** Version of the network that is held, whole; undefined: none is. */
  held(vni: number): bigint | undefined;
}

export interface MappingSessionOptions {
  connect(): { client: Pick<MappingServiceClient, "watchMappings">; close(): void };
  handler: MappingFeedHandler;
  log: Logger;
  backoff: Backoff;
  received(): void;
}

interface Live {
  receiver: MappingReceiver;
  outbox: Outbox<WatchMappingsRequest>;
  /** Subscribed to on this stream. */
  subscribed: Set<bigint>;
  /** Snapshots being received. */
  staged: Map<bigint, PackedRecords[]>;
}

/**
 * Watches the mappings of networks. What the stream says of a network counts for the VNI that the host's own feed gives it: a mapping can
 * never reach another network's table. A stream that breaks leaves all mappings as they are, and the next goes on from them.
 */
export class MappingSession {
  readonly #options: MappingSessionOptions;
  /** Networks to watch, with their VNIs. */
  readonly #watched = new Map<bigint, number>();
  /** Refused networks: when to ask again, and how often they were refused. */
  readonly #refused = new Map<bigint, { timer: NodeJS.Timeout; times: number }>();
  /** Of networks that are held just as they were received, over all streams. */
  readonly #bookmarks = new Map<bigint, MappingBookmark>();
  #live: Live | undefined;

  constructor(options: MappingSessionOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#live !== undefined;
  }

  /** Networks that were refused the last time. */
  get refused(): number {
    return this.#refused.size;
  }

  /** Watch these and no others. Cheap if nothing changed. */
  watch(networks: ReadonlyMap<bigint, { vni: number }>): void {
    for (const [networkId, vni] of [...this.#watched]) if (networks.get(networkId)?.vni !== vni) this.#unwatch(networkId);
    for (const [networkId, { vni }] of networks) {
      this.#watched.set(networkId, vni);
      if (!this.#refused.has(networkId)) this.#subscribe(networkId);
    }
  }

  /** Something changed for this host: what was refused may be allowed now. */
  retryRefused(): void {
    for (const [networkId, { timer }] of this.#refused) {
      clearTimeout(timer);
      this.#subscribe(networkId);
    }
  }

  /** Until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, backoff } = this.#options;
    await reconnect({ name: "mapping feed", ...backoff, log, signal }, (stream, good) => this.#once(stream, good));
    this.#forgetRefusals();
  }

  async #once(signal: AbortSignal, good: () => void): Promise<void> {
    const { client, close } = this.#options.connect();
    const outbox = new Outbox<WatchMappingsRequest>();
    this.#live = { receiver: new MappingReceiver(this.#bookmarks), outbox, subscribed: new Set(), staged: new Map() };
    this.#forgetRefusals();
    for (const networkId of this.#watched.keys()) this.#subscribe(networkId);
    try {
      for await (const response of client.watchMappings(outbox, { signal: AbortSignal.any([signal, outbox.full]) })) {
        good();
        this.#options.received();
        this.#take(this.#live, response);
      }
    } catch (error) {
      throw outbox.full.aborted ? (outbox.full.reason as Error) : error;
    } finally {
      this.#live = undefined;
      outbox.end();
      close();
    }
  }

  /** What could not be taken in whole is not gone on from. */
  #take(live: Live, response: WatchMappingsResponse): void {
    try {
      this.#receive(live, response);
    } catch (error) {
      this.#bookmarks.delete(response.networkId);
      throw error;
    }
  }

  #receive(live: Live, response: WatchMappingsResponse): void {
    const effect = live.receiver.receive(response);
    const vni = effect && this.#watched.get(effect.networkId);
    if (effect === undefined || vni === undefined) return;
    this.#refusedNoMore(effect);
    switch (effect.kind) {
      case "begin":
        live.staged.set(effect.networkId, []);
        return;
      case "put":
        live.staged.get(effect.networkId)?.push(effect.records);
        return;
      case "inSync":
        this.#options.handler.replace(vni, live.staged.get(effect.networkId) ?? [], effect.version);
        live.staged.delete(effect.networkId);
        return;
      case "change":
        this.#options.handler.change(vni, effect, effect.version);
        return;
      case "resumed":
        return;
      case "historyGone":
        this.#options.log.info({ network: effect.networkId.toString() }, "mapping feed: the history is gone, a snapshot follows");
        return;
      case "refused":
        this.#onRefused(live, effect.networkId, effect.message);
        return;
      case "resubscribe":
        this.#options.log.warn({ network: effect.networkId.toString() }, "mapping feed: versions are missing, asking for the network anew");
        live.staged.delete(effect.networkId);
        live.outbox.push(effect.request);
        return;
    }
  }

  #subscribe(networkId: bigint): void {
    const live = this.#live;
    if (live === undefined || live.subscribed.has(networkId)) return;
    live.subscribed.add(networkId);
    const vni = this.#watched.get(networkId);
    const held = vni === undefined ? undefined : this.#options.handler.held(vni);
    if (this.#bookmarks.get(networkId)?.version !== held) this.#bookmarks.delete(networkId);
    live.outbox.push(live.receiver.subscribe(networkId));
  }

  #unwatch(networkId: bigint): void {
    this.#watched.delete(networkId);
    this.#bookmarks.delete(networkId);
    clearTimeout(this.#refused.get(networkId)?.timer);
    this.#refused.delete(networkId);
    const live = this.#live;
    live?.staged.delete(networkId);
    if (live?.subscribed.delete(networkId) === true) live.outbox.push(live.receiver.unsubscribe(networkId));
  }

  /** Often the service has only not heard yet of what the host's feed has told: soon, then later and later, it is asked again. */
  #onRefused(live: Live, networkId: bigint, message: string): void {
    const { backoff, log } = this.#options;
    live.subscribed.delete(networkId);
    const times = (this.#refused.get(networkId)?.times ?? 0) + 1;
    const wait = backoffMs(backoff, times);
    log.info({ network: networkId.toString(), times, wait }, `mapping feed: refused: ${message}`);
    const timer = setTimeout(() => this.#subscribe(networkId), wait);
    timer.unref();
    this.#refused.set(networkId, { timer, times });
  }

  #refusedNoMore(effect: MappingEffect): void {
    if (effect.kind === "begin" || effect.kind === "resumed") this.#refused.delete(effect.networkId);
  }

  #forgetRefusals(): void {
    for (const { timer } of this.#refused.values()) clearTimeout(timer);
    this.#refused.clear();
  }
}
