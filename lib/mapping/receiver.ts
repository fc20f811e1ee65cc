import type { WatchMappingsRequest, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { PackedRecords } from "./packed.ts";
import type { PackedMapping } from "./packed.ts";

/** What the receiver of a mapping feed is to do next, in order. */
export type MappingEffect =
  /** From here on mark what is put, and delete nothing. */
  | { readonly kind: "begin"; readonly networkId: bigint; readonly vni: number }
  /** Part of a snapshot: these exist. Two records of one prefix are two targets. */
  | { readonly kind: "put"; readonly networkId: bigint; readonly vni: number; readonly records: PackedRecords }
  /** The snapshot is whole: delete what was not put since "begin". */
  | { readonly kind: "inSync"; readonly networkId: bigint; readonly vni: number; readonly version: bigint }
  /** One version's changes: `mappings` is the whole of every prefix in `prefixes`; a prefix without one is gone. */
  | {
      readonly kind: "change";
      readonly networkId: bigint;
      readonly vni: number;
      readonly version: bigint;
      readonly prefixes: readonly string[];
      readonly mappings: readonly PackedMapping[];
    }
  /** What is held is gone on from: changes follow, and nothing is put or deleted before them. */
  | { readonly kind: "resumed"; readonly networkId: bigint; readonly vni: number; readonly version: bigint }
  /** The changes that were missed are not kept any more: a "begin" follows. */
  | { readonly kind: "historyGone"; readonly networkId: bigint }
  /** The network may not be watched (any more); subscribing again later may succeed. */
  | { readonly kind: "refused"; readonly networkId: bigint; readonly message: string }
  /** Versions are missing: send this. What the network held stays as it is until the next inSync. */
  | { readonly kind: "resubscribe"; readonly networkId: bigint; readonly request: WatchMappingsRequest };

/** What the receiver's owner holds of a network, and the token for it. */
export interface MappingBookmark {
  readonly version: bigint;
  readonly token: Buffer;
}

const NO_TOKEN = Buffer.alloc(0);

interface Network {
  readonly subscription: bigint;
  phase: "waiting" | "snapshot" | "live";
  version: bigint;
}

/**
 * The receiver's side of the rules of `MappingService.WatchMappings`, without state of the mappings themselves: which messages count, and
 * what to do with them. One per stream; a new stream starts with a new one, and goes on where the last one was if it is given the same
 * `bookmarks`: those of networks that are held just as received, kept up to date here. Whoever drops or spoils what it holds of a
 * network deletes its bookmark.
 */
export class MappingReceiver {
  readonly #networks = new Map<bigint, Network>();
  readonly #bookmarks: Map<bigint, MappingBookmark>;
  #lastSubscription = 0n;

  constructor(bookmarks = new Map<bigint, MappingBookmark>()) {
    this.#bookmarks = bookmarks;
  }

  /** The request that begins, or begins again, to watch. */
  subscribe(networkId: bigint): WatchMappingsRequest {
    this.#lastSubscription += 1n;
    this.#networks.set(networkId, { subscription: this.#lastSubscription, phase: "waiting", version: 0n });
    const resumeToken = this.#bookmarks.get(networkId)?.token ?? NO_TOKEN;
    return { message: { $case: "subscribe", value: { networkId, subscription: this.#lastSubscription, resumeToken } } };
  }

  /** The request that ends it; whatever of the network is under way is ignored. */
  unsubscribe(networkId: bigint): WatchMappingsRequest {
    this.#networks.delete(networkId);
    this.#bookmarks.delete(networkId);
    return { message: { $case: "unsubscribe", value: { networkId } } };
  }

  /** Version of the network that was received whole, or undefined before that. */
  version(networkId: bigint): bigint | undefined {
    const network = this.#networks.get(networkId);
    return network?.phase === "live" ? network.version : undefined;
  }

  /** What to do with a message; nothing when it is none of ours. Throws RangeError on packed bytes that are broken. */
  receive(response: WatchMappingsResponse): MappingEffect | undefined {
    const { networkId, vni, message, bookmark } = response;
    const network = this.#networks.get(networkId);
    if (network === undefined || message === undefined) return undefined;
    switch (message.$case) {
      case "begin":
        if (message.value.subscription !== network.subscription) return undefined;
        network.phase = "snapshot";
        this.#bookmarks.delete(networkId); // from here on what is held may be of both
        return { kind: "begin", networkId, vni };
      case "refused":
        if (message.value.subscription !== network.subscription) return undefined;
        this.#networks.delete(networkId);
        return { kind: "refused", networkId, message: message.value.message };
      case "resumed":
        return message.value.subscription === network.subscription
          ? this.#resume(network, networkId, vni, message.value.version)
          : undefined;
      case "historyGone":
        if (message.value.subscription !== network.subscription) return undefined;
        this.#bookmarks.delete(networkId);
        return { kind: "historyGone", networkId };
      case "snapshot":
        return network.phase === "snapshot" ? { kind: "put", networkId, vni, records: new PackedRecords(message.value) } : undefined;
      case "inSync":
        if (network.phase !== "snapshot") return undefined; // after `resumed` it deletes nothing
        network.phase = "live";
        network.version = message.value.version;
        this.#mark(networkId, network.version, bookmark);
        return { kind: "inSync", networkId, vni, version: network.version };
      case "delta":
        return network.phase === "live" ? this.#change(network, response, message.value) : undefined;
    }
  }

  #mark(networkId: bigint, version: bigint, token: Buffer): void {
    if (token.length === 0) this.#bookmarks.delete(networkId);
    else this.#bookmarks.set(networkId, { version, token });
  }

  /** A server that goes on from something else than what is held is asked anew, for a snapshot. */
  #startAgain(networkId: bigint): MappingEffect {
    this.#bookmarks.delete(networkId);
    return { kind: "resubscribe", networkId, request: this.subscribe(networkId) };
  }

  #resume(network: Network, networkId: bigint, vni: number, version: bigint): MappingEffect {
    if (this.#bookmarks.get(networkId)?.version !== version) return this.#startAgain(networkId);
    network.phase = "live";
    network.version = version;
    return { kind: "resumed", networkId, vni, version };
  }

  #change(network: Network, { networkId, vni, bookmark }: WatchMappingsResponse, change: Change): MappingEffect | undefined {
    if (change.version <= network.version) return undefined;
    if (change.version !== network.version + 1n) return this.#startAgain(networkId);
    network.version = change.version;
    this.#mark(networkId, change.version, bookmark);
    const mappings = change.items.flatMap(({ prefix, targets }) =>
      targets.map(({ hostAddress, wireId, groupSetId }) => ({ prefix, hostAddress, wireId, groupSetId })),
    );
    return { kind: "change", networkId, vni, version: change.version, prefixes: change.items.map(({ prefix }) => prefix), mappings };
  }
}

type Change = Extract<NonNullable<WatchMappingsResponse["message"]>, { $case: "delta" }>["value"];
