import type { Subscribe, WatchMappingsRequest } from "#gen/plenum/mapping/v1/mapping.ts";
import { decodeBookmark } from "#lib/feed/feed.ts";
import { invalidArgument, resourceExhausted } from "#lib/rpc/errors.ts";
import type { Frame } from "../core/frames.ts";
import { WatchSession } from "../core/watch-session.ts";
import type { NetworkLease, NetworkRegistry } from "../out/network-registry.ts";
import type { Watch, WatchAuthority } from "../out/watch-authority.ts";

/** Networks that one host may watch at once; 4,000 is what is designed for. */
const MAX_NETWORKS = 16_384;
/** Subscribes at work at once, and refusals that wait for the host to read them: past either, no more requests are read. */
const MAX_OPENING = 64;
const MAX_NOTICES = 256;
const LARGEST_NETWORK_ID = 2n ** 63n - 1n;

const REFUSAL = "there is no such network, or this host has nothing in it";

/** One Subscribe, until the next of the same network, the Unsubscribe, the refusal or the stream's end. */
interface Subscription {
  readonly watch: Watch;
  lease: NetworkLease | undefined;
  ended: boolean;
}

export interface HostStreamOptions {
  readonly hostId: string;
  readonly networks: NetworkRegistry;
  readonly authority: WatchAuthority;
  readonly signal: AbortSignal;
}

/** One host's WatchMappings stream: requests in, frames out, and nothing left when it ends. */
export class HostStream {
  readonly #options: HostStreamOptions;
  readonly #session = new WatchSession();
  readonly #subscriptions = new Map<bigint, Subscription>();
  #opening = 0;
  #requestsEnded = false;
  #failure: { error: unknown } | undefined;
  #closed = false;
  #wake = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();

  constructor(options: HostStreamOptions) {
    this.#options = options;
  }

  /** The frames in order, as fast as they are taken, until the host ends its side. Throws when the stream must fail. */
  async *frames(requests: AsyncIterable<WatchMappingsRequest>): AsyncGenerator<Frame, void, undefined> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#wake.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    void this.#pump(requests);
    try {
      for (;;) {
        signal.throwIfAborted();
        const failure = this.#failure;
        if (failure !== undefined) throw failure.error;
        const frame = this.#session.next();
        if (frame !== undefined) {
          yield frame;
          this.#room.resolve();
        } else if (this.#requestsEnded) {
          return;
        } else {
          await this.#wake.promise;
          this.#wake = Promise.withResolvers<void>();
        }
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#close();
    }
  }

  #close(): void {
    this.#closed = true;
    for (const networkId of [...this.#subscriptions.keys()]) this.#end(networkId);
    this.#room.resolve();
  }

  /** Reads requests while the frames go out; what goes wrong ends the stream. */
  async #pump(requests: AsyncIterable<WatchMappingsRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#closed) return;
        this.#take(request);
        while (!this.#closed && (this.#opening >= MAX_OPENING || this.#session.notices >= MAX_NOTICES)) {
          await this.#room.promise;
          this.#room = Promise.withResolvers<void>();
        }
      }
      this.#requestsEnded = true;
    } catch (error) {
      this.#fail(error);
    }
    this.#wake.resolve();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake.resolve();
  }

  #take({ message }: WatchMappingsRequest): void {
    switch (message?.$case) {
      case "subscribe":
        void this.#subscribe(message.value);
        return;
      case "unsubscribe":
        this.#end(message.value.networkId);
        return;
      case undefined:
        throw invalidArgument("message", "is missing", "send subscribe or unsubscribe");
    }
  }

  async #subscribe(request: Subscribe): Promise<void> {
    const { networkId, subscription } = request;
    this.#end(networkId);
    if (networkId === 0n || networkId > LARGEST_NETWORK_ID) return this.#refuse(networkId, subscription);
    if (this.#subscriptions.size >= MAX_NETWORKS) {
      return this.#fail(resourceExhausted("LIMIT_EXCEEDED", `a host may watch ${MAX_NETWORKS} networks`, { limit: String(MAX_NETWORKS) }));
    }
    const watch: Watch = { hostId: this.#options.hostId, networkId, revoke: () => this.#refuse(networkId, subscription) };
    const own: Subscription = { watch, lease: undefined, ended: false };
    this.#subscriptions.set(networkId, own);
    this.#opening += 1;
    try {
      await this.#open(own, request);
    } catch (error) {
      if (!own.ended) this.#fail(error);
    } finally {
      this.#opening -= 1;
      this.#room.resolve();
    }
  }

  async #open(own: Subscription, { subscription, resumeToken }: Subscribe): Promise<void> {
    const { watch } = own;
    const { networks, authority } = this.#options;
    const allowed = await authority.begin(watch);
    if (own.ended) return authority.end(watch);
    const lease = allowed ? await networks.lease(watch.networkId, () => this.#changed(watch.networkId)) : undefined;
    if (own.ended) return lease?.release();
    if (lease === undefined) return this.#refuse(watch.networkId, subscription);
    own.lease = lease;
    const resume = decodeBookmark(resumeToken);
    // Another copy was quicker: a host must not be taken back to what it has left behind.
    if (resume !== undefined && resume.version > lease.feed.version) await lease.catchUp();
    if (own.ended) return;
    this.#session.open(lease.feed, subscription, resume);
    this.#wake.resolve();
  }

  #changed(networkId: bigint): void {
    this.#session.wake(networkId);
    this.#wake.resolve();
  }

  #refuse(networkId: bigint, subscription: bigint): void {
    this.#end(networkId);
    this.#session.refuse(networkId, subscription, REFUSAL);
    this.#wake.resolve();
  }

  #end(networkId: bigint): void {
    const own = this.#subscriptions.get(networkId);
    this.#subscriptions.delete(networkId);
    this.#session.close(networkId);
    if (own === undefined) return;
    own.ended = true;
    own.lease?.release();
    this.#options.authority.end(own.watch);
  }
}
