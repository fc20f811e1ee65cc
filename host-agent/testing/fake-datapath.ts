import { isDeepStrictEqual } from "node:util";
import { lasting } from "../core/peer-groups.ts";
import type { Datapath, DropReading, Endpoint, Mapping, MappingBatch, MeterReading, Ruleset } from "../core/ports.ts";
import { batchesOf, mappingsOf } from "./mapping-batches.ts";

/** What is pinned, and so outlives the agent: give the same one to a second FakeDatapath to play a restart (D21). */
export interface FakePins {
  guarded: Set<number>;
  /** The tunnel device that is guarded. */
  tunnel: number | undefined;
  endpoints: Map<number, Endpoint>;
  rulesets: Map<number, Ruleset>;
  mappings: Map<string, Mapping>;
  meters: Map<string, MeterReading & { wireId: number }>;
  drops: Map<string, DropReading>;
  /** Of each wire id's drop counters, while they exist. */
  dropEpochs: Map<number, bigint>;
  /** Undefined: no meter has ever been here. */
  epoch: bigint | undefined;
  /** How many epochs were made. */
  epochs: bigint;
}

export function fakePins(): FakePins {
  const empty = { guarded: new Set<number>(), endpoints: new Map(), rulesets: new Map(), mappings: new Map() };
  return { ...empty, tunnel: undefined, meters: new Map(), drops: new Map(), dropEpochs: new Map(), epoch: undefined, epochs: 0n };
}

/** A reboot: maps are gone, and the clock goes on. */
export function losePins(pins: FakePins): void {
  Object.assign(pins, { ...fakePins(), epochs: pins.epochs });
}

export interface FakeDatapathOptions {
  pins?: FakePins;
  /** Called first thing in each call, with its name; a test throws from it. */
  fault?: (call: Exclude<keyof Datapath, "close">) => void;
}

const keyOf = ({ vni, prefix }: { vni: number; prefix: string }): string => `${vni} ${prefix}`;

/** A host's programs and maps as a record of what was asked, with the preconditions of the real ones. Judges no packet. */
export class FakeDatapath implements Datapath {
  readonly pins: FakePins;
  readonly #fault: (call: Exclude<keyof Datapath, "close">) => void;
  #closed = false;

  constructor(options: FakeDatapathOptions = {}) {
    this.pins = options.pins ?? fakePins();
    this.#fault = options.fault ?? (() => {});
    if (this.pins.meters.size === 0) this.pins.epoch = this.#newEpoch();
    this.pins.epoch ??= 0n;
  }

  guardDevice(ifindex: number): void {
    this.#enter("guardDevice");
    this.pins.guarded.add(ifindex);
  }

  unguarded(ifindexes: readonly number[]): number[] {
    this.#enter("unguarded");
    return ifindexes.filter((ifindex) => !this.pins.guarded.has(ifindex));
  }

  guardTunnel(ifindex: number): void {
    this.#enter("guardTunnel");
    this.pins.tunnel = ifindex;
  }

  isTunnelGuarded(ifindex: number): boolean {
    this.#enter("isTunnelGuarded");
    return this.pins.tunnel === ifindex;
  }

  putMeter({ wireId, meterId }: Endpoint): void {
    this.#enter("putMeter");
    this.#dropEpoch(wireId);
    for (const direction of ["ingress", "egress"] as const) {
      const key = `${meterId} ${direction}`;
      if (!this.pins.meters.has(key)) this.pins.meters.set(key, { wireId, meterId, direction, packets: 0n, bytes: 0n, rawBytes: 0n });
    }
  }

  putEndpoint(endpoint: Endpoint): void {
    this.#enter("putEndpoint");
    if (!this.pins.rulesets.has(endpoint.rulesetId)) throw new Error(`ruleset ${endpoint.rulesetId} is not present`);
    this.pins.endpoints.set(endpoint.wireId, structuredClone(endpoint));
  }

  closeEndpoint(wireId: number): void {
    this.#enter("closeEndpoint");
    this.pins.endpoints.delete(wireId);
  }

  dropMeter(wireId: number, meterId: bigint, others = false): void {
    this.#enter("dropMeter");
    for (const direction of ["ingress", "egress"] as const) this.pins.meters.delete(`${meterId} ${direction}`);
    if (others) return;
    this.pins.dropEpochs.delete(wireId);
    for (const [key, drop] of this.pins.drops) if (drop.wireId === wireId) this.pins.drops.delete(key);
  }

  putRuleset(ruleset: Ruleset): void {
    this.#enter("putRuleset");
    if (this.#held(ruleset) === "other") throw new Error(`ruleset ${ruleset.id} exists with other rules`);
    this.pins.rulesets.set(ruleset.id, structuredClone(ruleset));
  }

  compareRuleset(ruleset: Ruleset): "same" | "other" | "absent" {
    this.#enter("compareRuleset");
    return this.#held(ruleset);
  }

  #held(ruleset: Ruleset): "same" | "other" | "absent" {
    const before = this.pins.rulesets.get(ruleset.id);
    if (before === undefined) return "absent";
    return isDeepStrictEqual(before.rules.map(lasting), ruleset.rules.map(lasting)) ? "same" : "other";
  }

  deleteRuleset(id: number): void {
    this.#enter("deleteRuleset");
    this.pins.rulesets.delete(id);
  }

  putMappings(batch: MappingBatch, fresh = false): void {
    this.#enter("putMappings");
    const mappings = mappingsOf([batch]);
    const taken = mappings.find((mapping) => fresh && this.pins.mappings.has(keyOf(mapping)));
    if (taken !== undefined) throw new Error(`${taken.prefix} is there already: it was said to be fresh`);
    for (const mapping of mappings) this.pins.mappings.set(keyOf(mapping), { ...mapping });
  }

  deleteMappings(batch: MappingBatch): void {
    this.#enter("deleteMappings");
    for (const key of mappingsOf([batch])) this.pins.mappings.delete(keyOf(key));
  }

  readMeters(meterIds?: readonly bigint[]): MeterReading[] {
    this.#enter("readMeters");
    const wanted = [...this.pins.meters.values()].filter(({ meterId }) => meterIds?.includes(meterId) !== false);
    return wanted.map(({ wireId: _, ...reading }) => reading);
  }

  readDrops(wireIds?: readonly number[]): DropReading[] {
    this.#enter("readDrops");
    return [...this.pins.drops.values()].filter(({ wireId }) => wireIds?.includes(wireId) !== false).map((drop) => ({ ...drop }));
  }

  counterEpoch(): bigint {
    this.#enter("counterEpoch");
    return this.pins.epoch ?? 0n;
  }

  actual(): ReturnType<Datapath["actual"]> {
    this.#enter("actual");
    return {
      endpoints: [...this.pins.endpoints.values()].map((endpoint) => structuredClone(endpoint)),
      // One of the two readings that each meter has.
      meters: [...this.pins.meters.values()].filter((m) => m.direction === "egress").map(({ wireId, meterId }) => ({ wireId, meterId })),
      rulesetIds: [...this.pins.rulesets.keys()],
      mappings: batchesOf(this.pins.mappings.values()),
    };
  }

  close(): void {
    this.#closed = true;
  }

  /** Plays traffic that was let through: counts on an endpoint's meter. Nothing is counted where the meter is missing (D18). */
  count(wireId: number, direction: "ingress" | "egress", packets: bigint, bytes: bigint): void {
    const endpoint = this.pins.endpoints.get(wireId);
    const meter = endpoint && this.pins.meters.get(`${endpoint.meterId} ${direction}`);
    if (meter === undefined) return;
    meter.packets += packets;
    meter.bytes += bytes;
    meter.rawBytes += bytes + 14n * packets;
  }

  /** Plays a numbered drop. */
  drop(wireId: number, reason: number, reasonName: string, packets: bigint): void {
    const key = `${wireId} ${reason}`;
    const before = this.pins.drops.get(key)?.packets ?? 0n;
    this.pins.drops.set(key, { wireId, reason, reasonName, packets: before + packets, epoch: this.#dropEpoch(wireId) });
  }

  #dropEpoch(wireId: number): bigint {
    const epoch = this.pins.dropEpochs.get(wireId) ?? this.#newEpoch();
    this.pins.dropEpochs.set(wireId, epoch);
    return epoch;
  }

  #newEpoch(): bigint {
    return (this.pins.epochs += 1n);
  }

  #enter(call: Exclude<keyof Datapath, "close">): void {
    if (this.#closed) throw new Error(`${call} on a closed datapath`);
    this.#fault(call);
  }
}
