import { HostChange } from "#gen/plenum/host/v1/host_feed.ts";
import type { Applied, ConnectRequest, ConnectResponse, Counters } from "#gen/plenum/host/v1/host_feed.ts";
import { encodeBookmark } from "#lib/feed/feed.ts";
import type { Follower, Position, ScopeReader } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import { invalidArgument, resourceExhausted, unavailable } from "#lib/rpc/errors.ts";
import { hostScope } from "../interface/api.ts";
import { closeSession } from "../placement/api.ts";
import { snapshotChanges } from "./core/chunks.ts";
import { MOST_PENDING, PendingApplied } from "./core/merge-applied.ts";
import { Outbox } from "./out/outbox.ts";
import { readStart } from "./out/read-start.ts";
import type { SessionStart } from "./out/read-start.ts";
import { staleSession } from "./out/sessions.ts";
import type { Endable, Sessions } from "./out/sessions.ts";
import type { VersionWriter } from "./out/version-writer.ts";
import { takeApplied, takeCounters } from "./reports.ts";
import type { ReportDependencies } from "./reports.ts";
import { SubstrateReport } from "./substrate-report.ts";

export interface SessionDependencies extends ReportDependencies {
  readonly reader: ScopeReader<unknown>;
  readonly sessions: Sessions;
  readonly versions: VersionWriter;
  readonly log: Logger;
}

/** Networks that one host may watch at most. */
const MAX_NETWORKS = 16_384;

/** What the database can hold of a version, a generation or a count: a host's word goes no further. */
const MAX_NUMBER = 2n ** 63n - 1n;

/** INVALID_ARGUMENT: it says what cannot be. One host's nonsense must not meet the statement that writes the words of many. */
function checkNumbers(field: string, values: Iterable<bigint>): void {
  for (const value of values) if (value > MAX_NUMBER) throw invalidArgument(field, `has ${value}`, `send at most ${MAX_NUMBER}`);
}

function checkApplied(applied: Applied): void {
  if (applied.networkVersions.size > MAX_NETWORKS)
    throw invalidArgument("applied.network_versions", `has ${applied.networkVersions.size} networks`, `send at most ${MAX_NETWORKS}`);
  checkNumbers("applied.host_version", [applied.hostVersion]);
  checkNumbers("applied.network_versions", [...applied.networkVersions].flat());
  for (const field of ["attachments", "instances"] as const)
    checkNumbers(
      `applied.${field}`,
      applied[field].map((one) => one.generation),
    );
}

function checkCounters({ meters, drops, epoch, sequence }: Counters): void {
  checkNumbers("counters.epoch", [epoch ?? 0n]);
  checkNumbers("counters.sequence", [sequence ?? 0n]);
  for (const one of meters)
    checkNumbers("counters.meters", [one.meterId, one.egressPackets, one.egressBytes, one.ingressPackets, one.ingressBytes]);
  checkNumbers(
    "counters.drops",
    drops.flatMap((one) => [one.packets, one.epoch ?? 0n]),
  );
}

/** Messages that wait for a slow reader: a snapshot's are of 1 MiB. Whatever is more stays in the log until there is room. */
const MAX_WAITING = 16;

const NO_BOOKMARK = Buffer.alloc(0);

/**
 * One open stream of one host. Everything remembered over it is here; it ends with the stream, and a new stream starts from a snapshot, or
 * from what the host says that it has been sent.
 * Two things run side by side: the scope's follower fills the outbox, and `hear` takes what the host says.
 */
export class HostSession implements Endable {
  readonly hostId: string;
  readonly epoch: bigint;
  readonly #deps: SessionDependencies;
  readonly #outbox = new Outbox<ConnectResponse>(MAX_WAITING);
  readonly #follower: Follower;
  readonly #substrate: SubstrateReport;
  /** What the host says that it has, until that was answered. */
  #resume: Position | undefined;
  #started = false;
  #pending: PendingApplied | undefined;
  #writing: Promise<void> = Promise.resolve();
  #counting: Promise<void> = Promise.resolve();

  constructor(deps: SessionDependencies, hostId: string, epoch: bigint, resume?: Position) {
    this.hostId = hostId;
    this.epoch = epoch;
    this.#substrate = new SubstrateReport(deps, hostId, epoch);
    this.#deps = deps;
    this.#resume = resume;
    deps.sessions.add(this);
    void this.#send({ $case: "opened", value: { sessionEpoch: epoch, hostId, acknowledgesCounters: true } });
    this.#follower = deps.reader.follow(hostScope(hostId), {
      snapshot: (tx) => readStart(tx, hostId, this.#resume),
      onSnapshot: (start, version) => this.#sendStart(start, version),
      onInSync: (version, mark) => this.#send({ $case: "inSync", value: { version } }, { version, mark }),
      onDelta: ({ payload, ...at }) => this.#sendDelta(payload, at),
    });
    this.#follower.done.catch((error: unknown) => this.end(error instanceof Error ? error : new Error(String(error))));
  }

  /** What the host is to be sent, until the session ends. */
  messages(): AsyncGenerator<ConnectResponse, void, undefined> {
    return this.#outbox.read();
  }

  /** End the stream with this error. */
  end(failure: Error): void {
    this.#outbox.end(failure);
  }

  /** Take what the host says until it says no more; then the stream ends. */
  async hear(requests: AsyncIterable<ConnectRequest>): Promise<void> {
    try {
      for await (const { message } of requests) {
        if (this.#outbox.ended) return;
        switch (message?.$case) {
          case "hello":
            throw invalidArgument("hello", "was sent twice", "it comes once, first");
          case "applied":
            this.#check(message.value.sessionEpoch);
            this.#applied(message.value);
            break;
          case "counters":
            this.#check(message.value.sessionEpoch);
            checkCounters(message.value);
            await this.#counting; // one at a time: a host that counts faster than it is written waits
            this.#counted(message.value);
            break;
          case "heartbeat":
            this.#check(message.value.sessionEpoch);
            this.#substrate.hear(message.value.substrate);
            this.#beat();
            break;
          case undefined:
            throw invalidArgument("message", "is missing", "send applied, counters or heartbeat");
        }
      }
      this.#outbox.end();
    } catch (error) {
      this.end(error as Error);
    }
  }

  /** Whatever was under way ends; the host counts as disconnected unless a newer session is open. */
  async close(): Promise<void> {
    this.#outbox.end(unavailable("the session ended"));
    this.#follower.close();
    this.#deps.sessions.remove(this);
    await Promise.all([this.#writing, this.#counting, this.#substrate.idle()]);
    try {
      await closeSession(this.#deps.db, this.hostId, this.epoch);
    } catch (error) {
      // Its lease ends by itself.
      this.#deps.log.warn({ err: error, host: this.hostId }, "a session's end could not be written");
    }
  }

  #check(epoch: bigint): void {
    if (epoch !== this.epoch) throw staleSession(epoch);
  }

  /** Resolves when there is room for more. */
  #send(message: ConnectResponse["message"], at?: Position): Promise<void> {
    return this.#outbox.push({ message, bookmark: at === undefined ? NO_BOOKMARK : encodeBookmark(at) });
  }

  #sendDelta(payload: Uint8Array, { version, mark }: Position): Promise<void> {
    return this.#send({ $case: "change", value: { ...HostChange.decode(payload), version } }, { version, mark });
  }

  /** First, and again when the log was trimmed past what a slow reader was sent. */
  async #sendStart({ resumed, items }: SessionStart, version: bigint): Promise<void> {
    const asked = this.#resume;
    const again = this.#started;
    this.#resume = undefined;
    this.#started = true;
    if (asked !== undefined && resumed !== undefined) {
      await this.#send({ $case: "resumed", value: { version: asked.version } });
      for (const { payload, ...at } of resumed) await this.#sendDelta(payload, at);
      for (const { items: owed } of snapshotChanges(items, version)) await this.#send({ $case: "owed", value: { version, items: owed } });
      return;
    }
    if (asked !== undefined || again) await this.#send({ $case: "historyGone", value: {} });
    for (const value of snapshotChanges(items, version)) await this.#send({ $case: "change", value });
  }

  /**
   * Collected while a write runs, so that a host that says much costs one transaction at a time. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED): it says
   * more than any host can have to say; what was collected is forgotten.
   */
  #applied(applied: Applied): void {
    checkApplied(applied);
    const first = this.#pending === undefined;
    this.#pending ??= new PendingApplied();
    this.#pending.add(applied);
    if (this.#pending.tooMuch) {
      this.#pending = undefined;
      throw resourceExhausted(
        "LIMIT_EXCEEDED",
        `more than ${MOST_PENDING} things of a kind, or too long, wait to be written: connect again`,
        {
          limit: String(MOST_PENDING),
        },
      );
    }
    if (!first) return;
    this.#writing = this.#writing.then(() => this.#write()).catch((error: unknown) => this.end(error as Error));
  }

  async #write(): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined || this.#outbox.ended) return;
    if (!pending.versionsOnly) return takeApplied(this.#deps, this.hostId, this.epoch, pending);
    const live = await this.#deps.versions.write({
      hostId: this.hostId,
      epoch: this.epoch,
      hostVersion: pending.hostVersion,
      networks: pending.networks,
    });
    if (!live) throw staleSession(this.epoch);
  }

  /** Beside what the host applied: no call waits for counts. */
  #counted(counters: Counters): void {
    this.#beat();
    this.#counting = this.#count(counters).catch((error: unknown) => this.end(error as Error));
  }

  /** Answered after the commit, so that the host keeps what might be lost (C22). */
  async #count(counters: Counters): Promise<void> {
    await takeCounters(this.#deps, this.hostId, this.epoch, counters);
    const { sequence } = counters;
    if (sequence !== undefined) await this.#send({ $case: "countersAcknowledged", value: { sequence } });
  }

  /** Prolong the lease. The database being away is no reason to lose the stream. */
  #beat(): void {
    this.#deps.versions.write({ hostId: this.hostId, epoch: this.epoch, hostVersion: 0n, networks: new Map() }).then(
      (live) => {
        if (!live) this.end(staleSession(this.epoch));
      },
      (error: unknown) => this.#deps.log.warn({ err: error, host: this.hostId }, "a heartbeat could not be written"),
    );
  }
}
