import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import type { WatchInterfacesRequest, WatchInterfacesResponse } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { DeepPartial } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Clients } from "./world.ts";

type Event = NonNullable<WatchInterfacesResponse["event"]>;

/** A client of WatchInterfaces as the proto wants it to be: what it holds is what it was told. */
export class Watcher {
  readonly records = new Map<string, Interface>();
  readonly events: Event[] = [];
  /** Token of the last bookmark. */
  token = "";
  inSync = false;
  failure: unknown;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #fresh = new Set<string>();
  #paused: Promise<void> | undefined;
  #resume: (() => void) | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(
    clients: Pick<Clients, "interfaces">,
    request: DeepPartial<WatchInterfacesRequest> = {},
    held?: ReadonlyMap<string, Interface>,
  ) {
    for (const [id, record] of held ?? []) this.records.set(id, record);
    this.#running = this.#run(clients, request);
  }

  /** Take nothing more until `go`. */
  pause(): void {
    this.#paused ??= new Promise((resolve) => (this.#resume = resolve));
  }

  go(): void {
    this.#resume?.();
    this.#paused = undefined;
  }

  /** Kinds of events in order, each run of one kind once. */
  kinds(): string[] {
    return this.events.map(({ $case }) => $case).filter((kind, at, all) => kind !== all[at - 1]);
  }

  /** Until `done`; throws after ten seconds, with what it saw. */
  async until(done: () => boolean, milliseconds = 10_000): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!done()) {
      const left = end - performance.now();
      if (left <= 0 || this.failure !== undefined)
        throw new Error(`not seen; ${this.kinds().join(" ")}; holds ${[...this.records.keys()].join(" ")}`, { cause: this.failure });
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([this.#changed.promise, new Promise((resolve) => (timer = setTimeout(resolve, Math.min(left, 50))))]);
      clearTimeout(timer);
    }
  }

  /** Until the stream has ended by itself. */
  async ended(): Promise<unknown> {
    await this.#running;
    return this.failure;
  }

  /** Call it off without reading what is still under way. */
  async cut(): Promise<void> {
    this.#abort.abort();
    await new Promise((resolve) => setImmediate(resolve));
    this.go();
    await this.#running;
  }

  async close(): Promise<void> {
    this.go();
    this.#abort.abort();
    await this.#running;
  }

  async #run(clients: Pick<Clients, "interfaces">, request: DeepPartial<WatchInterfacesRequest>): Promise<void> {
    try {
      for await (const { event } of clients.interfaces.watchInterfaces(request, { signal: this.#abort.signal })) {
        if (event === undefined) throw new Error("an empty message");
        this.#take(event);
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
        await this.#paused;
      }
    } catch (error) {
      this.failure = error;
      this.#changed.resolve();
    }
  }

  #take(event: Event): void {
    this.events.push(event);
    switch (event.$case) {
      case "snapshot":
      case "upserted":
        for (const record of event.value.interfaces) {
          this.records.set(record.interfaceId, record);
          this.#fresh.add(record.interfaceId);
        }
        return;
      case "deleted":
        for (const id of event.value.interfaceIds) this.records.delete(id);
        return;
      case "inSync":
        if (event.value.snapshot) for (const id of this.records.keys()) if (!this.#fresh.has(id)) this.records.delete(id);
        this.inSync = true;
        return;
      case "bookmark":
        this.token = event.value.resumeToken;
        return;
      case "historyGone":
        this.#fresh = new Set();
        this.inSync = false;
    }
  }
}
