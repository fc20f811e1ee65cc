import { AppliedState, HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import type {
  Applied,
  AttachmentStatus,
  ConnectRequest,
  ConnectResponse,
  Counters,
  Hello,
  HostItem,
} from "#gen/plenum/host/v1/host_feed.ts";
import type {
  IssueInstanceTokenRequest,
  IssueInstanceTokenResponse,
  JoinRequest,
  RenewCertificateRequest,
} from "#gen/plenum/host/v1/host_feed.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem, Subscribe, Target, WatchMappingsRequest, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import { silentLog } from "#lib/log/log.ts";
import { MappingPacker } from "#lib/mapping/packed.ts";
import { encodePrefix, PREFIX_OCTETS } from "#lib/mapping/prefix.ts";
import { bind, startServer } from "#lib/rpc/rpc.ts";
import type { RpcServer, ServerContext } from "#lib/rpc/rpc.ts";
import { Outbox } from "../in/outbox.ts";

const NONE: Buffer = Buffer.alloc(0);
/** A token like any other: it is opaque to the agent. */
export const bookmarkOf = (version: bigint): Buffer => Buffer.from(`at ${version}`);

/** One host's session as the scripted coordinator sees it. */
export class ScriptedSession {
  readonly epoch: bigint;
  readonly outbox = new Outbox<ConnectResponse>();
  readonly received: NonNullable<ConnectRequest["message"]>[] = [];
  ended = false;
  #wake: (() => void)[] = [];

  constructor(epoch: bigint) {
    this.epoch = epoch;
  }

  get hello(): Hello | undefined {
    return this.received.flatMap((m) => (m.$case === "hello" ? [m.value] : []))[0];
  }

  get applied(): Applied[] {
    return this.received.flatMap((m) => (m.$case === "applied" ? [m.value] : []));
  }

  get counters(): Counters[] {
    return this.received.flatMap((m) => (m.$case === "counters" ? [m.value] : []));
  }

  /** By default a coordinator of before counters were acknowledged. */
  opened(hostId = "host-1", acknowledgesCounters = false): void {
    this.send({ $case: "opened", value: { sessionEpoch: this.epoch, hostId, acknowledgesCounters } });
  }

  acknowledgeCounters(sequence: bigint | undefined): void {
    this.send({ $case: "countersAcknowledged", value: { sequence: sequence ?? 0n } });
  }

  snapshot(version: bigint, items: HostItem[]): void {
    this.send({ $case: "change", value: { version, inSnapshot: true, items } });
    this.inSync(version);
  }

  inSync(version: bigint): void {
    this.send({ $case: "inSync", value: { version } }, bookmarkOf(version));
  }

  delta(version: bigint, items: HostItem[]): void {
    this.send({ $case: "change", value: { version, inSnapshot: false, items } }, bookmarkOf(version));
  }

  send(message: NonNullable<ConnectResponse["message"]>, bookmark = NONE): void {
    this.outbox.push({ message, bookmark });
  }

  /** Resolves when `read` gives a value; asked again after each message. */
  async until<T>(read: (session: this) => T | undefined | false): Promise<T> {
    for (;;) {
      const value = read(this);
      if (value !== undefined && value !== false) return value;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** The status of an attachment once it is reported in this state for this generation. */
  attachment(id: string, state: AppliedState, generation = 1n): Promise<AttachmentStatus> {
    const right = (s: AttachmentStatus): boolean => s.attachmentId === id && s.state === state && s.generation === generation;
    return this.until(() => this.applied.flatMap((a) => a.attachments).find(right));
  }

  take(message: NonNullable<ConnectRequest["message"]>): void {
    this.received.push(message);
    this.wake();
  }

  wake(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** What a scripted mapping service tells of one network. */
export interface ScriptedNetwork {
  vni: number;
  version: bigint;
  entries: Map<string, Target>;
}

export interface FeedServerOptions {
  /** Default: any free TCP port of the loopback, plain text. */
  address?: string;
  /** With it: mTLS, and hosts can join. */
  ca?: CertificateAuthority;
}

/** A coordinator and a mapping service that do what a test says. Every session and subscription is kept. */
export class FeedServer {
  readonly sessions: ScriptedSession[] = [];
  /** By host id ("" without TLS). */
  readonly networks = new Map<bigint, ScriptedNetwork>();
  readonly subscriptions: bigint[] = [];
  /** What each subscription said that it has, as text. */
  readonly resumeTokens: string[] = [];
  readonly joins: JoinRequest[] = [];
  /** What happens with a subscription; by default a network that is known is sent. */
  refuse: (networkId: bigint) => string | undefined = () => undefined;
  /** Called with each new session, before anything was sent. */
  onSession: (session: ScriptedSession, hostId: string) => void = (session) => session.opened();
  /** Answers a join with a host id; throws to refuse. */
  onJoin: (request: JoinRequest) => string = () => {
    throw new Error("nobody may join");
  };
  /** Answers for an instance that acts as a principal; throws to refuse. */
  onToken: (instanceId: string) => IssueInstanceTokenResponse = (instanceId) => ({
    token: `token of ${instanceId}`,
    expireTime: new Date(Date.now() + 300_000),
  });
  #server: RpcServer | undefined;
  #epoch = 0n;
  readonly #watchers = new Map<bigint, Set<Outbox<WatchMappingsResponse>>>();
  readonly #waiting: (() => void)[] = [];
  readonly #ca: CertificateAuthority | undefined;

  private constructor(options: FeedServerOptions) {
    this.#ca = options.ca;
  }

  static async start(options: FeedServerOptions = {}): Promise<FeedServer> {
    const self = new FeedServer(options);
    const { ca, address = "127.0.0.1:0" } = options;
    const tls = ca && { ...(await ca.issueServer(["127.0.0.1"])), ca: ca.ca, requestClientCert: true };
    const join = "/plenum.host.v1.HostFeedService/Join";
    const rest = ["HostFeedService/Connect", "HostFeedService/RenewCertificate"].map((name) => `/plenum.host.v1.${name}`);
    self.#server = await startServer({
      listeners: [{ address, tls }],
      services: [self.#hostFeed(), self.#mappingFeed()],
      anonymousMethods: ca === undefined ? [join, ...rest, "/plenum.mapping.v1.MappingService/WatchMappings"] : [join],
      log: silentLog(),
    });
    return self;
  }

  get address(): string {
    return this.#server?.addresses[0] ?? "";
  }

  async stop(): Promise<void> {
    await this.#server?.stop(100);
  }

  /** The n-th session, first is 1, once it is there. */
  async session(n: number): Promise<ScriptedSession> {
    for (;;) {
      const session = this.sessions[n - 1];
      if (session !== undefined) return session;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Changes a mapping and tells the watchers. */
  map(networkId: bigint, prefix: string, target: Target | undefined): void {
    const network = this.networks.get(networkId);
    if (network === undefined) throw new Error(`no network ${networkId}`);
    if (target === undefined) network.entries.delete(prefix);
    else network.entries.set(prefix, target);
    network.version += 1n;
    this.delta(networkId, network.version, [{ prefix, targets: target === undefined ? [] : [target] }]);
  }

  /** Ends all streams of the mapping feed. */
  endWatches(): void {
    for (const watchers of this.#watchers.values()) for (const outbox of [...watchers]) outbox.end();
  }

  /** Sends a change as it is, right or wrong. */
  delta(networkId: bigint, version: bigint, items: MappingItem[]): void {
    const vni = this.networks.get(networkId)?.vni ?? 0;
    for (const outbox of this.#watchers.get(networkId) ?? [])
      outbox.push({ networkId, vni, message: { $case: "delta", value: { version, items } }, bookmark: bookmarkOf(version) });
  }

  #hostFeed() {
    const sessionOf = (context: ServerContext): ScriptedSession => {
      const session = new ScriptedSession((this.#epoch += 1n));
      this.sessions.push(session);
      this.onSession(session, context.caller.principalId);
      for (const wake of this.#waiting.splice(0)) wake();
      return session;
    };
    const end = (session: ScriptedSession): void => {
      session.ended = true;
      session.outbox.end();
      session.wake();
    };
    return bind(HostFeedServiceDefinition, {
      join: async (request: JoinRequest) => {
        this.joins.push(request);
        return this.#sign(this.onJoin(request), request.csr);
      },
      renewCertificate: async (request: RenewCertificateRequest, context: ServerContext) =>
        this.#sign(context.caller.principalId, request.csr),
      issueInstanceToken: ({ instanceId }: IssueInstanceTokenRequest) => Promise.resolve(this.onToken(instanceId)),
      async *connect(requests: AsyncIterable<ConnectRequest>, context: ServerContext) {
        const session = sessionOf(context);
        const reading = (async () => {
          for await (const { message } of requests) if (message !== undefined) session.take(message);
        })();
        context.signal.addEventListener("abort", () => end(session));
        void reading.catch(() => {}).finally(() => end(session));
        yield* session.outbox;
      },
    });
  }

  async #sign(hostId: string, csr: Buffer) {
    const ca = this.#ca;
    if (ca === undefined) throw new Error("no authority");
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${csr.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    return { hostId, certificate: (await ca.signHost(pem, hostId)).cert, caBundle: ca.ca, zoneId: "zone-1" };
  }

  #mappingFeed() {
    const subscribe = (message: NonNullable<WatchMappingsRequest["message"]>, outbox: Outbox<WatchMappingsResponse>): void => {
      const { networkId } = message.value;
      const watchers = this.#watchers.get(networkId) ?? new Set();
      this.#watchers.set(networkId, watchers);
      if (message.$case === "unsubscribe") watchers.delete(outbox);
      else this.#begin(message.value, outbox, watchers);
    };
    const forget = (outbox: Outbox<WatchMappingsResponse>): void => {
      outbox.end();
      for (const watchers of this.#watchers.values()) watchers.delete(outbox);
    };
    const unused = (): never => {
      throw new Error("hosts do not look up");
    };
    return bind(MappingServiceDefinition, {
      lookupMapping: unused,
      batchLookupMappings: unused,
      async *watchMappings(requests: AsyncIterable<WatchMappingsRequest>, context: ServerContext) {
        const outbox = new Outbox<WatchMappingsResponse>();
        const reading = (async () => {
          for await (const { message } of requests) if (message !== undefined) subscribe(message, outbox);
        })();
        context.signal.addEventListener("abort", () => forget(outbox));
        void reading.catch(() => {}).finally(() => forget(outbox));
        yield* outbox;
      },
    });
  }

  /** Goes on where the host is if that is the newest, else sends all: what came between is not kept. */
  #begin(
    { networkId, subscription, resumeToken }: Subscribe,
    outbox: Outbox<WatchMappingsResponse>,
    watchers: Set<Outbox<WatchMappingsResponse>>,
  ): void {
    this.subscriptions.push(networkId);
    this.resumeTokens.push(resumeToken.toString());
    const network = this.networks.get(networkId);
    const message = this.refuse(networkId) ?? (network === undefined ? "no such network" : undefined);
    if (network === undefined || message !== undefined) {
      outbox.push({ networkId, vni: 0, message: { $case: "refused", value: { message: message ?? "", subscription } }, bookmark: NONE });
      return;
    }
    watchers.add(outbox);
    const { vni, version, entries } = network;
    const tell = (told: WatchMappingsResponse["message"], bookmark = NONE): void =>
      void outbox.push({ networkId, vni, message: told, bookmark });
    if (resumeToken.equals(bookmarkOf(version))) {
      tell({ $case: "resumed", value: { subscription, version } });
      return tell({ $case: "inSync", value: { version } }, bookmarkOf(version));
    }
    if (resumeToken.length > 0) tell({ $case: "historyGone", value: { subscription } });
    const packer = new MappingPacker(Math.max(1, entries.size));
    const bytes = new Uint8Array(PREFIX_OCTETS);
    for (const [prefix, target] of entries) {
      encodePrefix(prefix, bytes);
      packer.add(bytes, 0, target.wireId, target.hostAddress, target.groupSetId);
    }
    tell({ $case: "begin", value: { subscription, version } });
    tell({ $case: "snapshot", value: packer.finish() });
    tell({ $case: "inSync", value: { version } }, bookmarkOf(version));
  }
}

/** A target on a host. */
export function target(wireId: number, hostAddress: string, groupSetId = 1): Target {
  const id = `eni-${wireId}`;
  return {
    interfaceId: id,
    attachmentId: `eni-attach-${wireId}`,
    wireId,
    hostId: "host",
    hostAddress,
    groupSetId,
    macAddress: "",
    weight: 1,
  };
}
