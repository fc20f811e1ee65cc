import type { HostCapacity } from "#gen/plenum/host/v1/host.ts";
import { AppliedState, HostFeedServiceDefinition, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type {
  AttachmentItem,
  ConnectRequest,
  ConnectResponse,
  Counters,
  HostChange,
  HostItem,
  InstanceItem,
  PeerGroupItem,
  RulesetItem,
  SubstrateStatus,
} from "#gen/plenum/host/v1/host_feed.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";

/** What a host does with what it is told, unless a test says otherwise. */
export interface Behaviour {
  /** False: it hears and says nothing. */
  acknowledge: boolean;
  /** State to answer with instead of PRESENT for what is wanted PRESENT. */
  present: AppliedState;
  message: string;
  /** Networks whose versions it says it has applied, with each acknowledgement. */
  networkVersions: Map<bigint, bigint>;
}

/** What the present snapshot held; `resumed`: there was none. */
interface Fresh {
  readonly instances: Set<string>;
  readonly attachments: Set<string>;
  readonly rulesets: Set<number>;
  resumed: boolean;
}

/** A host that speaks the feed over a real connection and has no kernel: it remembers what it was told, and acknowledges it. */
export class FakeHost {
  readonly hostId: string;
  readonly behaviour: Behaviour = { acknowledge: true, present: AppliedState.PRESENT, message: "", networkVersions: new Map() };
  readonly instances = new Map<string, InstanceItem>();
  readonly attachments = new Map<string, AttachmentItem>();
  readonly rulesets = new Map<number, RulesetItem>();
  /** Everything received in the present session. */
  received: ConnectResponse[] = [];
  epoch = 0n;
  version = 0n;
  /** For what it holds now. */
  bookmark = Buffer.alloc(0);
  inSync = false;
  /** What it says of its substrate as it connects; undefined: as an agent that says nothing of it. */
  substrate: SubstrateStatus | undefined = { deviceReady: true, tunnelReady: true, message: "" };
  /** Newest sequence of counters that was acknowledged. */
  counted = 0n;
  /** How the last stream ended. */
  failure: unknown;
  readonly #channel: RpcChannel;
  #send: ((message: NonNullable<ConnectRequest["message"]>) => void) | undefined;
  #abort = new AbortController();
  #cutAt = Infinity;
  #running: Promise<void> = Promise.resolve();

  readonly #identity: { cert: string; key: string };

  private constructor(hostId: string, internal: { address: string; ca: string }, identity: { cert: string; key: string }) {
    this.hostId = hostId;
    this.#identity = identity;
    this.#channel = openChannel({ address: internal.address, ca: internal.ca, serverName: "localhost", ...identity });
  }

  /** The same host, as it connects to another copy. */
  at(internal: { address: string; ca: string }): FakeHost {
    return new FakeHost(this.hostId, internal, this.#identity);
  }

  /** Join with a token and make the mTLS channel. */
  static async join(internal: { address: string; ca: string }, token: string, name: string, substrateAddress: string): Promise<FakeHost> {
    const { csr, key } = await createHostRequest();
    const anonymous = openChannel({ address: internal.address, ca: internal.ca, serverName: "localhost" });
    const joined = await anonymous.client(HostFeedServiceDefinition).join({ token, csr: derOf(csr), name, substrateAddress });
    anonymous.close();
    return new FakeHost(joined.hostId, internal, { cert: joined.certificate, key });
  }

  /** What its next session says that it can carry; undefined: nothing. */
  capacity: HostCapacity | undefined;

  get client() {
    return this.#channel.client(HostFeedServiceDefinition);
  }

  /** Open a session and wait until it is in sync. `resumeToken`: what to say that it has; by default nothing. */
  async connect(resumeToken = Buffer.alloc(0)): Promise<void> {
    const queue: ConnectRequest[] = [
      {
        message: {
          $case: "hello",
          value: {
            agentVersion: "fake",
            kernelRelease: "0",
            substrateMtu: 1_500,
            resumeToken,
            substrate: this.substrate,
            capacity: this.capacity,
          },
        },
      },
    ];
    let wake = Promise.withResolvers<void>();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#send = (message) => {
      queue.push({ message });
      wake.resolve();
    };
    this.received = [];
    this.inSync = false;
    this.failure = undefined;
    const synced = Promise.withResolvers<void>();
    async function* requests(): AsyncGenerator<ConnectRequest, void, undefined> {
      for (;;) {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) yield next;
        if (signal.aborted) return;
        wake = Promise.withResolvers();
        await wake.promise;
      }
    }
    signal.addEventListener("abort", () => wake.resolve());
    const fresh: Fresh = { instances: new Set(), attachments: new Set(), rulesets: new Set(), resumed: false };
    this.#running = (async () => {
      try {
        for await (const response of this.client.connect(requests(), { signal })) {
          this.received.push(response);
          this.#take(response, fresh);
          if (this.received.length >= this.#cutAt) this.#abort.abort();
          if (response.message?.$case === "inSync") synced.resolve();
        }
      } catch (error) {
        this.failure = error;
        synced.reject(error);
      }
    })();
    await synced.promise;
  }

  /** Cut the stream, as a host that dies does. */
  async disconnect(): Promise<void> {
    this.#abort.abort();
    await this.#running;
    this.#send = undefined;
  }

  /** Cut the stream after so many messages of it. */
  cutAfter(messages: number): void {
    this.#cutAt = messages;
  }

  /** Wait until the stream has ended by itself. */
  ended(): Promise<void> {
    return this.#running;
  }

  async close(): Promise<void> {
    await this.disconnect();
    this.#channel.close();
  }

  send(message: NonNullable<ConnectRequest["message"]>): void {
    this.#send?.(message);
  }

  /** Say that it is there, as an agent does every few seconds: without this a lease ends after 15. */
  beat(): void {
    this.send({ $case: "heartbeat", value: { sessionEpoch: this.epoch, substrate: undefined } });
  }

  /** Say how the substrate stands, as a change of it is told. */
  stand(substrate: Partial<SubstrateStatus>): void {
    this.substrate = { deviceReady: true, tunnelReady: true, message: "", ...substrate };
    this.send({ $case: "heartbeat", value: { sessionEpoch: this.epoch, substrate: this.substrate } });
  }

  count(counters: Partial<Counters>): void {
    this.send({ $case: "counters", value: { sessionEpoch: this.epoch, readTime: new Date(), meters: [], drops: [], ...counters } });
  }

  /** Say that these items, or all, are as wanted. */
  acknowledge(items: readonly HostItem[] = this.items()): void {
    const { present, message } = this.behaviour;
    const stateOf = (wanted: Wanted): AppliedState => (wanted === Wanted.PRESENT ? present : AppliedState.ABSENT);
    const attachments = items.flatMap(({ item }) =>
      item?.$case === "attachment"
        ? [{ attachmentId: item.value.attachmentId, generation: item.value.generation, state: stateOf(item.value.wanted), message }]
        : [],
    );
    const instances = items.flatMap(({ item }) =>
      item?.$case === "instance"
        ? [
            {
              instanceId: item.value.instanceId,
              generation: item.value.generation,
              state: stateOf(item.value.wanted),
              message,
              netnsPath: `/run/netns/${item.value.instanceId}`,
              processRunning: item.value.argv.length > 0,
            },
          ]
        : [],
    );
    this.send({
      $case: "applied",
      value: {
        sessionEpoch: this.epoch,
        hostVersion: this.version,
        networkVersions: this.behaviour.networkVersions,
        attachments,
        instances,
      },
    });
  }

  /** All that it was told and still has, as items. */
  items(): HostItem[] {
    return [
      ...[...this.instances.values()].map((value): HostItem => ({ item: { $case: "instance", value } })),
      ...[...this.attachments.values()].map((value): HostItem => ({ item: { $case: "attachment", value } })),
    ];
  }

  #take({ message, bookmark }: ConnectResponse, fresh: Fresh): void {
    if (bookmark.length > 0) this.bookmark = Buffer.from(bookmark);
    switch (message?.$case) {
      case "opened":
        this.epoch = message.value.sessionEpoch;
        return;
      case "change":
        this.#apply(message.value, fresh);
        return;
      case "resumed":
        if (message.value.version !== this.version) throw new Error(`resumed at ${message.value.version}, not at ${this.version}`);
        fresh.resumed = true;
        return;
      case "historyGone":
        fresh.resumed = false;
        for (const ids of [fresh.instances, fresh.attachments, fresh.rulesets]) ids.clear();
        return;
      case "owed":
        this.#apply({ ...message.value, inSnapshot: true }, fresh);
        return;
      case "inSync":
        // What the snapshot did not have goes now, never before.
        for (const id of this.instances.keys()) if (!fresh.resumed && !fresh.instances.has(id)) this.instances.delete(id);
        for (const id of this.attachments.keys()) if (!fresh.resumed && !fresh.attachments.has(id)) this.attachments.delete(id);
        for (const id of this.rulesets.keys()) if (!fresh.resumed && !fresh.rulesets.has(id)) this.rulesets.delete(id);
        this.version = message.value.version;
        this.inSync = true;
        if (this.behaviour.acknowledge) this.acknowledge();
        return;
      case "countersAcknowledged":
        this.counted = message.value.sequence;
        return;
      case undefined:
        throw new Error("an empty message");
    }
  }

  /** Forget what is to go, as a host does that has said so. */
  forgetGone(): void {
    for (const items of [this.instances, this.attachments])
      for (const [id, { wanted }] of [...items]) if (wanted === Wanted.ABSENT) items.delete(id);
  }

  /** Rules that name the group mean other sets from now on. */
  #moveSets({ securityGroupId, addedGroupSetIds, removedGroupSetIds }: PeerGroupItem): void {
    const removed = new Set(removedGroupSetIds);
    for (const [id, item] of this.rulesets) {
      const rules = item.rules.map((rule) => {
        if (rule.peerGroupId !== securityGroupId) return rule;
        const sets = new Set([...rule.peerGroupSetIds.filter((set) => !removed.has(set)), ...addedGroupSetIds]);
        return { ...rule, peerGroupSetIds: [...sets].toSorted((a, b) => a - b) };
      });
      this.rulesets.set(id, { ...item, rules });
    }
  }

  #apply(change: HostChange, fresh: Fresh): void {
    if (change.inSnapshot && !fresh.resumed) this.bookmark = Buffer.alloc(0); // half of a snapshot is no place to go on from
    if (!change.inSnapshot && change.version !== this.version + 1n) throw new Error(`a gap: ${this.version} to ${change.version}`);
    for (const { item } of change.items) {
      if (item?.$case === "instance") {
        fresh.instances.add(item.value.instanceId);
        this.instances.set(item.value.instanceId, item.value);
      } else if (item?.$case === "attachment") {
        fresh.attachments.add(item.value.attachmentId);
        this.attachments.set(item.value.attachmentId, item.value);
      } else if (item?.$case === "ruleset") {
        fresh.rulesets.add(item.value.rulesetId);
        if (item.value.wanted === Wanted.PRESENT) this.rulesets.set(item.value.rulesetId, item.value);
        else this.rulesets.delete(item.value.rulesetId);
      } else if (item?.$case === "peerGroup") this.#moveSets(item.value);
    }
    if (change.inSnapshot) return;
    this.version = change.version;
    if (this.behaviour.acknowledge) this.acknowledge(change.items);
  }
}
