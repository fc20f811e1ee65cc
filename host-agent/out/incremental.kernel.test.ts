import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import type { Datapath } from "../core/ports.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { FeedWorld } from "../testing/feed-world.ts";
import type { WorldChange, WorldEvent } from "../testing/feed-world.ts";
import { mappingsOf } from "../testing/mapping-batches.ts";
import { worldEvent } from "../testing/world-events.ts";
import type { BpfDatapath } from "./datapath/index.ts";
import { withMap } from "./datapath/testing/flows.ts";
import { Lab, openIn } from "./datapath/testing/lab.ts";
import { NetnsInstanceDriver } from "./instance/netns-driver.ts";
import { VethDevices } from "./net/devices.ts";
import { VxlanUnderlay } from "./net/underlay.ts";

/** An agent's whole lower half on the real kernel: programs, maps, devices, namespaces, processes. Driven by hand as FakeHost is. */
class KernelHost extends FakeHost {
  readonly #kernel: Kernel;

  private constructor(kernel: Kernel) {
    super({ ports: () => kernel.open() });
    this.#kernel = kernel;
  }

  static make(): KernelHost {
    return new KernelHost(new Kernel());
  }

  /** What the kernel holds, apart from what differs by chance. */
  override kernel(): unknown {
    return this.#kernel.state();
  }

  dispose(): Promise<void> {
    return this.#kernel.dispose();
  }
}

let made = 0;

class Kernel {
  readonly #lab = new Lab();
  readonly #path: string;
  readonly #address = "198.18.0.1";
  readonly #stateDir = mkdtempSync(join(tmpdir(), "plenum-incremental-"));
  readonly #prefix = `pli${process.pid}x${(made += 1)}x`;
  readonly #devices: VethDevices;
  readonly #instances: NetnsInstanceDriver;
  readonly #bpffsDir: string;
  readonly #tunnel: number;
  #datapath: BpfDatapath | undefined;

  constructor() {
    willLeave({ kind: "namespaces", prefix: this.#prefix }, { kind: "directory", dir: this.#stateDir });
    this.#path = this.#lab.machine("a", this.#address);
    this.#tunnel = new VxlanUnderlay({ hostAddress: this.#address, hostNamespace: this.#path }).ensureTunnel();
    this.#bpffsDir = join(this.#lab.bpffs, "a");
    mkdirSync(this.#bpffsDir);
    this.#instances = new NetnsInstanceDriver({ prefix: this.#prefix, stateDir: this.#stateDir, termMilliseconds: 200 });
    this.#devices = new VethDevices({ netnsPath: (id) => this.#instances.netnsPath(id), hostNamespace: this.#path });
  }

  /** As an agent that starts. */
  open() {
    this.#datapath?.close();
    const datapath = openIn(this.#path, { bpffsDir: this.#bpffsDir, hostAddress: this.#address, tunnelIfindex: this.#tunnel });
    this.#datapath = datapath;
    const inside = <T>(fn: () => T): T => linux.withNamespace(this.#path, fn);
    const guarding: Pick<Datapath, "guardDevice" | "unguarded" | "guardTunnel" | "isTunnelGuarded"> = {
      guardDevice: datapath.guardDevice.bind(datapath),
      unguarded: datapath.unguarded.bind(datapath),
      guardTunnel: datapath.guardTunnel.bind(datapath),
      isTunnelGuarded: datapath.isTunnelGuarded.bind(datapath),
    };
    datapath.guardDevice = (ifindex) => inside(() => guarding.guardDevice(ifindex));
    datapath.unguarded = (ifindexes) => inside(() => guarding.unguarded(ifindexes));
    // The underlay is a fake here, the tunnel is not.
    datapath.guardTunnel = () => inside(() => guarding.guardTunnel(this.#tunnel));
    datapath.isTunnelGuarded = () => inside(() => guarding.isTunnelGuarded(this.#tunnel));
    return { datapath: datapath as Datapath, devices: this.#devices, instances: this.#instances };
  }

  state(): unknown {
    const sorted = (items: Iterable<unknown>): string[] => [...items].map((item) => JSON.stringify(item, bigints)).sort();
    const { endpoints, meters, rulesetIds, mappings } = (this.#datapath as BpfDatapath).actual();
    const devices = new Map(this.#devices.list().map((device) => [device.ifindex, device]));
    return {
      endpoints: sorted(endpoints.map(({ ifindex, ...endpoint }) => ({ ...endpoint, on: devices.get(ifindex)?.wireId }))),
      meters: sorted(meters),
      rulesets: rulesetIds.toSorted((a, b) => a - b),
      peers: withMap({ options: { bpffsDir: this.#bpffsDir } }, "rule_groups", (map) =>
        sorted([...map.entries()].map((element) => element.map((part) => part.toString("hex")))),
      ),
      mappings: sorted(mappingsOf(mappings)),
      devices: sorted([...devices.values()].map(({ wireId, instanceId }) => ({ wireId, instanceId }))),
      instances: sorted(this.#instances.list().map(({ instanceId, process: { state } }) => ({ instanceId, state }))),
    };
  }

  async dispose(): Promise<void> {
    for (const { instanceId } of this.#instances.list()) await this.#instances.remove(instanceId);
    this.#datapath?.close();
    this.#lab.dispose();
    rmSync(this.#stateDir, { recursive: true });
  }
}

const bigints = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);

type Drive = (host: KernelHost, world: FeedWorld, change: WorldChange, index: number) => Promise<void> | void;

/** Ways to tell one list of changes; each is to end where a host that was just started is told all at once. */
const WAYS: Readonly<Record<string, Drive>> = {
  "one by one, each settled": async (host, world, change) => {
    host.change(change);
    await host.settle(world);
  },
  "in a hurry, each change reversed": (host, world, change) => {
    host.change(change.scope === "host" ? { ...change, items: [...change.items].reverse() } : change);
    host.pass(world);
    host.now += 20;
  },
  "squashed into few passes": (host, world, change, index) => {
    host.change(change);
    if (index % 7 === 6) host.pass(world);
  },
  "in streams that break and go on": (host, world, change, index) => {
    if (index % 5 < 2) host.miss(change);
    else {
      host.resume(world, (items) => [...items].reverse());
      host.change(change);
    }
    if (index % 3 === 0) host.pass(world);
  },
  "by agents that are killed between passes": async (host, world, change, index) => {
    host.change(change);
    host.pass(world);
    if (index % 4 !== 3) return;
    host.restart();
    host.snapshot(world, (items) => [...items].reverse());
  },
};

const LISTS = 4;

for (const [way, drive] of Object.entries(WAYS)) {
  test(`the kernel ends the same as from scratch when its wants are told ${way}`, async () => {
    const lists = fc.sample(fc.array(worldEvent, { minLength: 15, maxLength: 40, size: "max" }), { numRuns: LISTS, seed: way.length + 7 });
    let endpoints = 0;
    for (const list of lists) endpoints += await compare(list, drive);
    expect(endpoints, "endpoints that were compared").toBeGreaterThan(0);
  }, 120_000);
}

/** Returns how many endpoints there were in the end. */
async function compare(list: readonly WorldEvent[], drive: Drive): Promise<number> {
  const [host, scratch] = [KernelHost.make(), KernelHost.make()];
  try {
    const world = new FeedWorld();
    host.snapshot(world);
    for (const [index, event] of list.entries()) {
      const change = world.apply(event);
      if (change !== undefined) await drive(host, world, change, index);
    }
    host.resume(world);
    await host.settle(world);
    scratch.snapshot(world);
    await scratch.settle(world);
    const expected = scratch.kernel();
    expect(host.kernel(), JSON.stringify(list)).toEqual(expected);
    return (expected as { endpoints: string[] }).endpoints.length;
  } finally {
    await host.dispose();
    await scratch.dispose();
  }
}
