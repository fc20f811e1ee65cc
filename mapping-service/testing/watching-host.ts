import type { WatchMappingsRequest, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingReceiver } from "#lib/mapping/receiver.ts";
import type { MappingBookmark } from "#lib/mapping/receiver.ts";
import { callFailure } from "#lib/rpc/rpc.ts";
import type { PlenumClient } from "#lib/rpc/rpc.ts";
import { receive } from "./holding.ts";

type Client = PlenumClient<typeof MappingServiceDefinition>;

/** A host's end of the stream, as an agent would have it; for tests. It may stop reading. */
export class WatchingHost {
  /** For what it holds; kept over streams, like that. */
  readonly bookmarks: Map<bigint, MappingBookmark>;
  readonly receiver: MappingReceiver;
  /** What came, as "network kind". */
  readonly log: string[] = [];
  readonly #held: Map<bigint, Map<string, string[]>>;
  readonly #abort = new AbortController();
  readonly #requests: WatchMappingsRequest[] = [];
  #requested = Promise.withResolvers<void>();
  #ended = false;
  #changed = Promise.withResolvers<void>();
  #gate: PromiseWithResolvers<void> | undefined;
  /** The status that the stream ended with; "OK" when it ended well. */
  readonly done: Promise<string>;

  /** `before`: an earlier stream of the same host, whose state this one goes on with. */
  constructor(client: Client, before?: WatchingHost) {
    this.bookmarks = before?.bookmarks ?? new Map<bigint, MappingBookmark>();
    this.#held = before?.heldAll ?? new Map<bigint, Map<string, string[]>>();
    this.receiver = new MappingReceiver(this.bookmarks);
    this.done = this.#read(client).then(
      () => "OK",
      (error: unknown) => callFailure(error)?.status ?? String(error),
    );
  }

  subscribe(networkId: bigint): void {
    this.send(this.receiver.subscribe(networkId));
  }

  unsubscribe(networkId: bigint): void {
    this.send(this.receiver.unsubscribe(networkId));
  }

  send(request: WatchMappingsRequest): void {
    this.#requests.push(request);
    this.#requested.resolve();
  }

  /** By network. */
  get heldAll(): Map<bigint, Map<string, string[]>> {
    return this.#held;
  }

  /** Prefix → targets that the host would have in its kernel. */
  held(networkId: bigint): Map<string, string[]> {
    const held = this.#held.get(networkId) ?? new Map<string, string[]>();
    this.#held.set(networkId, held);
    return held;
  }

  /** Kinds of the messages of a network that came, from number `start`. */
  kinds(networkId: bigint, start = 0): string[] {
    const name = `${networkId} `;
    return this.log
      .filter((entry) => entry.startsWith(name))
      .slice(start)
      .map((entry) => entry.slice(name.length));
  }

  /** Resolves when `condition` holds, looked at after each message. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  untilVersion(networkId: bigint, version: bigint): Promise<void> {
    return this.until(() => this.receiver.version(networkId) === version);
  }

  untilRefused(networkId: bigint): Promise<void> {
    return this.until(() => this.kinds(networkId).at(-1) === "refused");
  }

  /** Stop reading, until the function that is returned is called. */
  pause(): () => void {
    const gate = Promise.withResolvers<void>();
    this.#gate = gate;
    return () => {
      this.#gate = undefined;
      gate.resolve();
    };
  }

  /** Close our side of the stream. */
  end(): void {
    this.#ended = true;
    this.#requested.resolve();
  }

  /** Break the stream off. */
  cancel(): Promise<string> {
    this.#abort.abort();
    return this.done;
  }

  async #read(client: Client): Promise<void> {
    for await (const response of client.watchMappings(this.#send(), { signal: this.#abort.signal })) {
      this.#take(response);
      if (this.#gate !== undefined) await this.#gate.promise;
    }
  }

  #take(response: WatchMappingsResponse): void {
    this.log.push(`${response.networkId} ${response.message?.$case ?? "nothing"}`);
    const effect = receive(this.receiver, this.held(response.networkId), response);
    if (effect?.kind === "resubscribe") this.send(effect.request);
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }

  async *#send(): AsyncGenerator<WatchMappingsRequest, void, undefined> {
    for (;;) {
      const request = this.#requests.shift();
      if (request !== undefined) yield request;
      else if (this.#ended) return;
      else {
        await this.#requested.promise;
        this.#requested = Promise.withResolvers();
      }
    }
  }
}
