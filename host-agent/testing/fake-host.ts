import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { Datapath, Devices, InstanceDriver } from "../core/ports.ts";
import { Reconciler } from "../core/reconciler.ts";
import type { ReconcilerSettings } from "../core/reconciler.ts";
import { FakeDatapath, fakePins } from "./fake-datapath.ts";
import { fakeDeviceKernel, FakeDevices } from "./fake-devices.ts";
import { FakeInstanceDriver, fakeInstanceKernel } from "./fake-instance-driver.ts";
import { changeOf, piecesOf } from "./mapping-batches.ts";
import { FakeUnderlay } from "./fake-underlay.ts";
import type { FeedWorld, WorldChange } from "./feed-world.ts";

export const FAKE_SETTINGS: ReconcilerSettings = {
  guestMtu: 1450,
  graceMs: 50,
  lingerMs: 30_000,
  backoff: { firstMs: 100, maxMs: 10_000 },
  budgetMs: 50,
  seed: 1,
};

export interface FakeHostOptions {
  /** A pass does one step, as if each took longer than all may take. */
  slow?: boolean;
  /** Throws to make a call of a port fail before it did anything. */
  fault?: (call: string) => void;
  /** Throws to make a call fail after it did all. */
  faultAfter?: (call: string) => void;
  /** Opened anew with each agent; by default fakes. */
  ports?: () => { datapath: Datapath; devices: Devices; instances: InstanceDriver };
}

/** A host that keeps its kernel over restarts of its agent, driven by hand: no clock, no feeds. */
export class FakeHost {
  readonly pins = fakePins();
  readonly deviceKernel = fakeDeviceKernel();
  readonly instanceKernel = fakeInstanceKernel();
  readonly underlay: FakeUnderlay;
  /** What the ports were asked, in order: "datapath.putEndpoint". */
  readonly calls: string[] = [];
  /** Meter ids of last readings that were reported. */
  readonly finals: bigint[] = [];
  readonly failures: string[] = [];
  /** What was found lost. */
  readonly lost: string[] = [];
  /** Whether a session would take a last reading. */
  connected = true;
  /** Whether last readings are acknowledged; undefined: the coordinator never does. */
  safe: boolean | undefined;
  now = 0;
  reconciler: Reconciler;
  #version = 0n;
  readonly #networkVersions = new Map<bigint, bigint>();
  /** Told by nobody yet: no stream was open. */
  #missed: WorldChange[] = [];
  readonly #removals = new Set<Promise<unknown>>();
  readonly #options: FakeHostOptions;

  constructor(options: FakeHostOptions = {}) {
    this.#options = options;
    this.underlay = new FakeUnderlay(1500, (call) => this.#called(`underlay.${call}`));
    this.pins.tunnel = this.underlay.ensureTunnel(); // as main.ts does first
    this.calls.length = 0;
    this.reconciler = this.#start();
  }

  /** kill -9 and start: the kernel stays, the memory goes. */
  restart(): void {
    this.reconciler = this.#start();
    this.#networkVersions.clear();
  }

  /** Hello, snapshot, in sync; networks too. */
  snapshot(world: FeedWorld, order: (items: HostItem[]) => HostItem[] = (items) => items): void {
    const { host } = this.reconciler;
    this.#version += BigInt(this.#missed.filter((change) => change.scope === "host").length);
    this.#missed = [];
    host.beginSnapshot();
    host.change({ version: this.#version, inSnapshot: true, items: order(world.snapshot()) });
    host.complete(this.#version);
    this.#networkVersions.clear();
    this.watchNetworks(world);
  }

  change(change: WorldChange): void {
    if (change.scope === "host") {
      this.#version += 1n;
      this.reconciler.host.change({ version: this.#version, inSnapshot: false, items: change.items });
      return;
    }
    const version = this.#networkVersions.get(change.networkId);
    if (version === undefined) return; // not watched
    this.#networkVersions.set(change.networkId, version + 1n);
    this.reconciler.mappings.change(Number(change.networkId), changeOf([change.prefix, change.mapping]), version + 1n);
  }

  /** Something happens while both streams are away. */
  miss(change: WorldChange): void {
    this.#missed.push(change);
  }

  /**
   * New streams that go on where the last ones were: what was missed, what is owed, in sync. `cutAt`: the streams break after so many
   * changes, before they are in sync. No effect when nothing was missed.
   */
  resume(world: FeedWorld, order: (items: HostItem[]) => HostItem[] = (items) => items, cutAt = Infinity): void {
    if (this.#missed.length === 0) return;
    const { host } = this.reconciler;
    const missed = this.#missed.flatMap((change) => (change.scope === "host" ? [change] : []));
    host.beginSnapshot();
    host.resume(this.#version);
    let version = this.#version;
    for (const { items } of missed.slice(0, cutAt)) host.change({ version: (version += 1n), inSnapshot: false, items: order(items) });
    if (missed.length > cutAt) return;
    const owed = world
      .snapshot()
      .filter(({ item }) => (item?.$case === "instance" || item?.$case === "attachment") && item.value.wanted === Wanted.ABSENT);
    host.owed({ version, items: order(owed) });
    host.complete(version);
    this.#version = version;
    for (const change of this.#missed.splice(0)) if (change.scope === "network") this.change(change);
  }

  /** What was to go and has gone is out of the world: its word was heard. */
  forgetAcknowledged(world: FeedWorld): void {
    const { host } = this.reconciler;
    for (const id of [...world.attachments.keys()])
      if (world.attachments.get(id)?.wanted === Wanted.ABSENT && host.attachment(id) === undefined) world.attachments.delete(id);
    for (const id of [...world.instances.keys()])
      if (world.instances.get(id)?.wanted === Wanted.ABSENT && host.instance(id) === undefined) world.instances.delete(id);
  }

  /** Subscribes to what is watched and was not, forgets what is not. */
  watchNetworks(world: FeedWorld): void {
    const watched = this.reconciler.watchedNetworks();
    for (const id of this.#networkVersions.keys()) if (!watched.has(id)) this.#networkVersions.delete(id);
    for (const [id, { vni }] of watched) {
      if (this.#networkVersions.has(id)) continue;
      this.#networkVersions.set(id, 1n);
      this.reconciler.mappings.replace(vni, piecesOf([...(world.networks.get(id)?.values() ?? [])]), 1n);
    }
  }

  /** With a world: and watches what is to be watched then, as the agent does after each pass. */
  pass(world?: FeedWorld): void {
    this.reconciler.pass();
    if (world !== undefined) this.watchNetworks(world);
  }

  /** Calls since the last time that changed something. */
  takeCalls(): string[] {
    return this.calls
      .splice(0)
      .filter((call) => !/\.(list|actual|readMeters|readDrops|unguarded|isTunnelGuarded|compareRuleset)$/.test(call));
  }

  /** Passes, and time, until nothing is left to do. */
  async settle(world: FeedWorld): Promise<void> {
    for (let round = 0; round < 2_000; round++) {
      const { complete, wakeAt } = this.reconciler.pass();
      await Promise.allSettled(this.#removals);
      await Promise.resolve(); // a fake's removals of instances end in a microtask
      await Promise.resolve();
      const before = this.reconciler.mappings.pending;
      this.watchNetworks(world);
      if (!complete || this.reconciler.mappings.pending !== before || this.#wake) {
        this.#wake = false;
        continue;
      }
      if (wakeAt === undefined) {
        if (this.#quiet) return;
        this.#quiet = true;
        continue;
      }
      this.#quiet = false;
      this.now = Math.max(this.now, wakeAt);
    }
    throw new Error("the agent never comes to rest");
  }
  #quiet = false;
  #wake = false;

  /** The kernel as text, apart from what differs by chance (interface indexes, process ids). */
  kernel(): unknown {
    const sorted = <T>(items: Iterable<T>): string[] => [...items].map((item) => JSON.stringify(item, bigints)).sort();
    const endpoints = [...this.pins.endpoints.values()].map((endpoint) => {
      const device = this.deviceKernel.pairs.get(endpoint.wireId);
      return { ...endpoint, ifindex: device?.ifindex === endpoint.ifindex ? "its device" : "another device" };
    });
    return {
      endpoints: sorted(endpoints),
      devices: sorted(
        [...this.deviceKernel.pairs.values()].map(({ spec, up, ifindex }) => ({ spec, up, guarded: this.pins.guarded.has(ifindex) })),
      ),
      meters: sorted([...this.pins.meters.values()].map(({ meterId, wireId, direction }) => ({ meterId, wireId, direction }))),
      rulesets: sorted(this.pins.rulesets.values()),
      mappings: sorted(this.pins.mappings.values()),
      instances: sorted(
        [...this.instanceKernel.instances].map(([id, { process, dnsServers, identity }]) => [id, process.state, dnsServers, identity]),
      ),
    };
  }

  #failing<P extends object>(name: string, port: P): P {
    return new Proxy(port, {
      get: (target, property) => {
        const member: unknown = Reflect.get(target, property, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => {
          const result: unknown = member.apply(target, args);
          if (result instanceof Promise) this.#await(result);
          else this.#options.faultAfter?.(`${name}.${String(property)}`);
          return result;
        };
      },
    });
  }

  #called(call: string): void {
    this.#options.fault?.(call);
    this.calls.push(call);
  }

  #await(removal: Promise<unknown>): void {
    this.#removals.add(removal);
    const ended = (): void => void this.#removals.delete(removal);
    removal.then(ended, ended);
  }

  #start(): Reconciler {
    const fault =
      (port: string) =>
      (call: string): void =>
        this.#called(`${port}.${call}`);
    const ports = this.#options.ports?.() ?? {
      datapath: new FakeDatapath({ pins: this.pins, fault: fault("datapath") }),
      devices: new FakeDevices({
        kernel: this.deviceKernel,
        fault: fault("devices"),
        instanceExists: (id) => this.instanceKernel.instances.has(id),
      }),
      instances: new FakeInstanceDriver({ kernel: this.instanceKernel, fault: fault("instances") }),
    };
    const reconciler = new Reconciler(
      {
        datapath: this.#failing("datapath", ports.datapath),
        devices: this.#failing("devices", ports.devices),
        instances: this.#failing("instances", ports.instances),
        underlay: this.underlay,
        reportFinal: (meters) => {
          if (this.connected) this.finals.push(...meters.map(({ meterId }) => meterId));
          return this.connected;
        },
        isSafe: () => this.safe,
        clock: () => this.now,
        wake: () => {
          this.#wake = true;
        },
        failed: (step, error) => this.failures.push(`${step}: ${error.message}`),
        lost: (what, count) => this.lost.push(`${what} ${count}`),
      },
      { ...FAKE_SETTINGS, ...(this.#options.slow === true ? { budgetMs: 0 } : {}) },
    );
    reconciler.adopt();
    return reconciler;
  }
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}
