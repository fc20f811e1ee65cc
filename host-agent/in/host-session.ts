import type { HostFeedServiceClient } from "#gen/plenum/host/v1/host_feed.ts";
import type {
  Applied,
  ConnectRequest,
  ConnectResponse,
  Counters,
  Hello,
  HostChange,
  HostOwed,
  SubstrateStatus,
} from "#gen/plenum/host/v1/host_feed.ts";
import type { Logger } from "#lib/log/log.ts";
import type { Backoff } from "#lib/retry/backoff.ts";
import { FeedBroken } from "../core/wanted.ts";
import { Outbox } from "./outbox.ts";
import { reconnect } from "./reconnect.ts";

/** The host's session is quiet for at most this long (the contract says five seconds). */
const HEARTBEAT_MS = 2_000;

/** What the feed tells. Called in the order of the stream; must not wait. */
export interface HostFeedHandler {
  beginSnapshot(): void;
  /** What follows goes on from what is held. Throws FeedBroken when that is another version. */
  resume(version: bigint): void;
  /** Throws FeedBroken for a version that does not follow. `bookmark`: the token for what is held with it. */
  change(change: HostChange, bookmark: Buffer): void;
  owed(owed: HostOwed): void;
  complete(version: bigint, bookmark: Buffer): void;
  /** The token for what is held now; empty: none, begin with a snapshot. */
  bookmark(): Buffer;
  /** The feed broke its rules: the next session begins with a snapshot. */
  distrust(): void;
  /** Counters of this session up to this sequence are safe. */
  countersAcknowledged(sequence: bigint): void;
}

export interface HostSessionOptions {
  /** A client with the identity of now; `close` ends its channel. */
  connect(): { client: Pick<HostFeedServiceClient, "connect">; close(): void };
  hello(): Omit<Hello, "resumeToken">;
  /** For each heartbeat. */
  substrate(): SubstrateStatus;
  handler: HostFeedHandler;
  log: Logger;
  backoff: Backoff;
  /** When something was received, for the metric of its age. */
  received(): void;
}

/** The stream that is open now. */
interface Live {
  epoch: bigint;
  outbox: Outbox<ConnectRequest>;
  inSync: boolean;
  acknowledgesCounters: boolean;
}

/**
 * The host's session with the coordinator (C5). Everything remembered over one stream is in `Live`; a new stream starts with a new one,
 * and goes on from the items that the handler holds.
 */
export class HostSession {
  readonly #options: HostSessionOptions;
  #live: Live | undefined;
  #serial = 0;

  constructor(options: HostSessionOptions) {
    this.#options = options;
  }

  /** Number of the session that is in sync now, different for each; undefined: none is. */
  get inSync(): number | undefined {
    return this.#live?.inSync === true ? this.#serial : undefined;
  }

  /** Whether a stream was accepted, in sync or not. */
  get open(): boolean {
    return this.#live !== undefined;
  }

  /** Whether the coordinator of the present session says when counters are safe. */
  get acknowledgesCounters(): boolean {
    return this.#live?.acknowledgesCounters === true;
  }

  /** False: no session is in sync. */
  sendApplied(applied: Omit<Applied, "sessionEpoch">): boolean {
    return this.#send((sessionEpoch) => ({ $case: "applied", value: { sessionEpoch, ...applied } }));
  }

  /** False: no session is in sync. */
  sendCounters(counters: Omit<Counters, "sessionEpoch">): boolean {
    return this.#send((sessionEpoch) => ({ $case: "counters", value: { sessionEpoch, ...counters } }));
  }

  /** Says now how the substrate stands, if a session is open. */
  beat(): void {
    const live = this.#live;
    if (live === undefined) return;
    live.outbox.push({ message: { $case: "heartbeat", value: { sessionEpoch: live.epoch, substrate: this.#options.substrate() } } });
  }

  /** Until `signal`. */
  run(signal: AbortSignal): Promise<void> {
    const { log, backoff } = this.#options;
    return reconnect({ name: "host feed", ...backoff, log, signal }, (stream, good) => this.#once(stream, good));
  }

  #send(message: (epoch: bigint) => NonNullable<ConnectRequest["message"]>): boolean {
    const live = this.#live;
    return live?.inSync === true && live.outbox.push({ message: message(live.epoch) });
  }

  async #once(signal: AbortSignal, good: () => void): Promise<void> {
    const { handler } = this.#options;
    const { client, close } = this.#options.connect();
    const outbox = new Outbox<ConnectRequest>();
    outbox.push({ message: { $case: "hello", value: { ...this.#options.hello(), resumeToken: handler.bookmark() } } });
    let heartbeat: NodeJS.Timeout | undefined;
    try {
      for await (const response of client.connect(outbox, { signal: AbortSignal.any([signal, outbox.full]) })) {
        this.#options.received();
        this.#receive(response, outbox);
        if (this.#live?.inSync === true) good();
        heartbeat ??= setInterval(() => this.beat(), HEARTBEAT_MS);
      }
    } catch (error) {
      if (error instanceof FeedBroken) handler.distrust();
      throw outbox.full.aborted ? (outbox.full.reason as Error) : error;
    } finally {
      clearInterval(heartbeat);
      this.#live = undefined;
      outbox.end();
      close();
    }
  }

  #receive({ message, bookmark }: ConnectResponse, outbox: Outbox<ConnectRequest>): void {
    const { handler, log } = this.#options;
    switch (message?.$case) {
      case "opened":
        if (this.#live !== undefined) throw new FeedBroken("a session was opened twice");
        log.info({ epoch: message.value.sessionEpoch.toString(), host: message.value.hostId }, "host feed: session opened");
        this.#live = {
          epoch: message.value.sessionEpoch,
          outbox,
          inSync: false,
          acknowledgesCounters: message.value.acknowledgesCounters,
        };
        this.#serial += 1;
        handler.beginSnapshot();
        return;
      case "resumed":
        this.#opened();
        handler.resume(message.value.version);
        return;
      case "historyGone":
        this.#opened();
        log.info("host feed: the history is gone, a snapshot follows");
        handler.beginSnapshot();
        return;
      case "change":
        this.#opened();
        handler.change(message.value, bookmark);
        return;
      case "owed":
        this.#opened();
        handler.owed(message.value);
        return;
      case "inSync":
        handler.complete(message.value.version, bookmark);
        this.#opened().inSync = true;
        return;
      case "countersAcknowledged":
        handler.countersAcknowledged(message.value.sequence);
        return;
      case undefined:
        throw new FeedBroken("a message of a kind that this agent does not know");
    }
  }

  #opened(): Live {
    if (this.#live === undefined) throw new FeedBroken("items before the session was opened");
    return this.#live;
  }
}
