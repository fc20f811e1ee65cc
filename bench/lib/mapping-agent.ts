import { randomInt } from "node:crypto";
import type { MappingServiceClient, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { silentLog } from "#lib/log/log.ts";
import type { Datapath } from "../../host-agent/core/ports.ts";
import type { MappingModules } from "./mapping-modules.ts";

type Client = Pick<MappingServiceClient, "watchMappings">;

/** The agent's part: its real session and reconciler of mappings, on a datapath. */
export class MappingAgent {
  readonly #modules: MappingModules;
  #datapath: Datapath;
  readonly #network: { networkId: bigint; vni: number };
  readonly #attempts: InstanceType<MappingModules["Attempts"]>;
  #mappings: InstanceType<MappingModules["Mappings"]>;

  constructor(modules: MappingModules, datapath: Datapath, network: { networkId: bigint; vni: number }) {
    this.#modules = modules;
    this.#datapath = datapath;
    this.#network = network;
    this.#attempts = new modules.Attempts({
      ...{ backoff: { firstMs: 100, maxMs: 5_000 }, clock: () => performance.now(), budgetMs: Infinity },
      onFailure: (key, error) => process.stderr.write(`${key}: ${error.message}\n`),
    });
    this.#mappings = this.#start();
  }

  /** Another agent on the same maps, which knows nothing yet. */
  restart(datapath: Datapath): void {
    this.#datapath = datapath;
    this.#mappings = this.#start();
    this.#mappings.adopt(this.#datapath.actual().mappings);
  }

  get size(): number {
    return this.#mappings.size;
  }

  /** Watches until the network was told whole. */
  async receive(client: Client): Promise<void> {
    const { networkId, vni } = this.#network;
    const ending = new AbortController();
    const session = new this.#modules.MappingSession({
      connect: () => ({ client, close: () => {} }),
      handler: {
        replace: (...told) => {
          this.#mappings.replace(...told);
          ending.abort();
        },
        change: () => {},
        held: () => undefined,
      },
      ...{ log: silentLog(), backoff: { firstMs: 100, maxMs: 1_000 }, received: () => {} },
    });
    session.watch(new Map([[networkId, { vni }]]));
    await session.run(ending.signal);
  }

  /** The same from messages that are there already. */
  receiveAll(messages: Iterable<WatchMappingsResponse>): Promise<void> {
    return this.receive({
      async *watchMappings() {
        await Promise.resolve();
        yield* messages;
      },
    });
  }

  /** Until the kernel holds what was told. */
  apply(): void {
    this.#attempts.begin();
    const done = this.#mappings.apply();
    if (!done.includes(this.#network.vni)) throw new Error(`the kernel took ${this.size} mappings and not all`);
  }

  /** The host has nothing in the network any more. */
  leave(): void {
    this.#mappings.keepOnly(new Set());
    this.#attempts.begin();
    this.#mappings.apply();
    if (this.size > 0) throw new Error(`${this.size} mappings are left in the kernel`);
    this.#mappings.keepOnly(new Set([this.#network.vni]));
  }

  #start(): InstanceType<MappingModules["Mappings"]> {
    const mappings = new this.#modules.Mappings(this.#datapath, this.#attempts, randomInt(2 ** 32));
    mappings.keepOnly(new Set([this.#network.vni]));
    return mappings;
  }
}
