import { isIPv4 } from "node:net";
import { join } from "node:path";
import { isBpffs } from "#lib/linux/index.ts";
import type { Datapath, DropReading, Endpoint, IpText, MappingBatch, MeterReading, Ruleset } from "../../core/ports.ts";
import { buildBpf } from "../../bpf/build.ts";
import { openAttachments, type Attachments, type AttachMode } from "./attach.ts";
import { Budgets } from "./budgets.ts";
import { decodeEndpoint, encodeEndpoint } from "./codec.ts";
import { DEFAULT_CONNECTION_LIMITS, encodeHostConfig, type ConnectionLimits } from "./connections.ts";
import { Counters } from "./counters.ts";
import { indexDevices } from "./device-index.ts";
import { SCHEMA } from "./layout.gen.ts";
import { closeLoaded, forgetOtherPrograms, loadOrAdopt, type Loaded } from "./load.ts";
import { Mappings } from "./mappings.ts";
import { PinSet } from "./pins.ts";
import { u32 } from "./record.ts";
import { Rulesets } from "./rulesets.ts";
import { Takeover, type Upgrade } from "./takeover.ts";

export interface DatapathOptions {
  /** A directory in a mounted bpffs, this host's own; pins outlive the process there. */
  bpffsDir: string;
  /** The host's address on the substrate: source of tunnel packets, and how a mapping says "here". IPv4. */
  hostAddress: IpText;
  /** The one VXLAN device in external mode, in the calling thread's network namespace, as are all devices guarded later. */
  tunnelIfindex: number;
  /** The compiled programs; by default `buildBpf().objectPath`, compiled now if need be. */
  objectPath?: string;
  /** Forces a way to attach; by default TCX where the kernel has it. */
  attach?: AttachMode;
  /** How many connections an interface may hold, and for how long idle ones are kept; each by default as documented for tenants. */
  connections?: Partial<ConnectionLimits>;
  /** Another version's maps were found, and are taken over by now. */
  onUpgrade?: (upgrade: Upgrade) => void;
}

/** Place of the tunnel's program among the attachments; guest devices are named by their index. */
const TUNNEL = "tunnel";

/**
 * Loads the programs, or adopts what an earlier process left running; swaps the programs if the object changed, and takes over the maps
 * of versions that laid them out otherwise (D21, docs/design/datapath.md). No packet is lost by any of it. Must run in the network
 * namespace that holds the devices.
 *
 * @throws Error for a directory that is not in a bpffs, an object of another version or one that the verifier refuses; RangeError for an address that is not IPv4;
 *   KernelError for what the kernel refuses (EPERM: not root; ENODEV: no such device)
 */
export function openDatapath(options: DatapathOptions): BpfDatapath {
  const { bpffsDir, hostAddress } = options;
  if (!isIPv4(hostAddress)) throw new RangeError(`the substrate address must be IPv4, not ${hostAddress}`);
  if (!isBpffs(bpffsDir)) throw new Error(`${bpffsDir} is not in a BPF file system: mount -t bpf bpf <directory>`);
  const objectPath = options.objectPath ?? buildBpf().objectPath;
  const set = new PinSet(bpffsDir, SCHEMA);
  const takeover = new Takeover(bpffsDir, set);
  const loaded = loadOrAdopt(set, objectPath, (maps) => takeover.fill(maps));
  try {
    const datapath = new BpfDatapath(options, loaded, takeover);
    forgetOtherPrograms(set, objectPath);
    if (takeover.upgrade !== undefined) options.onUpgrade?.(takeover.upgrade);
    return datapath;
  } catch (error) {
    closeLoaded(loaded);
    throw error;
  }
}

/** Made by `openDatapath`. */
export class BpfDatapath implements Datapath {
  readonly #loaded: Loaded;
  readonly #config: (tunnelIfindex: number) => Buffer;
  readonly #attachments: Attachments;
  readonly #counters: Counters;
  readonly #budgets: Budgets;
  readonly #mappings: Mappings;
  readonly #rulesets: Rulesets;
  #closed = false;

  constructor(options: DatapathOptions, loaded: Loaded, takeover: Takeover) {
    const { maps, programs } = loaded;
    this.#loaded = loaded;
    const limits = { ...DEFAULT_CONNECTION_LIMITS, ...options.connections };
    this.#counters = new Counters(maps);
    this.#budgets = new Budgets(maps.budgets, limits, new Set(this.#counters.list().map(({ wireId }) => wireId)));
    this.#mappings = new Mappings(maps.mappings, maps.senders);
    this.#rulesets = new Rulesets(maps);
    indexDevices(maps.ports, maps.endpoints);
    this.#config = (tunnelIfindex) => encodeHostConfig({ hostAddress: options.hostAddress, tunnelIfindex }, limits);
    maps.host.put(u32(0), this.#config(options.tunnelIfindex));
    takeover.beforeSwap(loaded);

    this.#attachments = openAttachments(join(options.bpffsDir, "links"), programs.from_instance, options.attach);
    this.#attachments.refresh(programs.from_instance, [TUNNEL]);
    this.#attachments.ensure(TUNNEL, options.tunnelIfindex, programs.from_tunnel);
    this.#counters.carry(takeover.afterSwap(loaded));
  }

  /** How programs are attached on this kernel. */
  get attachMode(): AttachMode {
    return this.#attachments.mode;
  }

  guardDevice(ifindex: number): void {
    this.#attachments.ensure(String(ifindex), ifindex, this.#loaded.programs.from_instance);
  }

  unguarded(ifindexes: readonly number[]): number[] {
    return this.#attachments.missing(ifindexes, this.#loaded.programs.from_instance);
  }

  guardTunnel(ifindex: number): void {
    const { maps, programs } = this.#loaded;
    this.#attachments.ensure(TUNNEL, ifindex, programs.from_tunnel);
    maps.host.put(u32(0), this.#config(ifindex));
  }

  isTunnelGuarded(ifindex: number): boolean {
    return this.#attachments.missing([ifindex], this.#loaded.programs.from_tunnel).length === 0;
  }

  putMeter({ wireId, meterId }: Pick<Endpoint, "wireId" | "meterId">): void {
    this.#budgets.create(wireId);
    this.#counters.create(wireId, meterId);
  }

  /** @throws Error if its ruleset is not loaded; RangeError for values out of range */
  putEndpoint(endpoint: Endpoint): void {
    const { endpoints, ports } = this.#loaded.maps;
    const value = encodeEndpoint(endpoint);
    if (!this.#rulesets.has(endpoint.rulesetId))
      throw new Error(`endpoint ${endpoint.wireId}: its ruleset ${endpoint.rulesetId} is not loaded`);
    this.putMeter(endpoint);
    const before = endpoints.get(u32(endpoint.wireId));
    // The index first: where it finds no room, or the agent dies, nothing is half open.
    ports.put(u32(endpoint.ifindex), u32(endpoint.wireId));
    endpoints.put(u32(endpoint.wireId), value);
    if (before !== undefined) this.#forgetPort(decodeEndpoint(before).ifindex, endpoint.wireId, endpoint.ifindex);
  }

  closeEndpoint(wireId: number): void {
    const { endpoints } = this.#loaded.maps;
    const before = endpoints.get(u32(wireId));
    if (before === undefined) return;
    const { ifindex } = decodeEndpoint(before);
    endpoints.delete(u32(wireId));
    this.#forgetPort(ifindex, wireId);
    this.#attachments.retire(String(ifindex));
  }

  /** Removes the index entry of a device, unless it is `keep` or belongs to another endpoint by now. */
  #forgetPort(ifindex: number, wireId: number, keep?: number): void {
    const { ports } = this.#loaded.maps;
    if (ifindex !== keep && ports.get(u32(ifindex))?.readUInt32LE() === wireId) ports.delete(u32(ifindex));
  }

  dropMeter(wireId: number, meterId: bigint, others = false): void {
    this.#counters.delete(wireId, meterId, others);
    if (!others) this.#budgets.leave(wireId);
  }

  /** @throws Error if the id is taken by other rules; RangeError for more than 256 rules a direction or values out of range */
  putRuleset(ruleset: Ruleset): void {
    this.#rulesets.put(ruleset);
  }

  compareRuleset(ruleset: Ruleset): "same" | "other" | "absent" {
    return this.#rulesets.compare(ruleset);
  }

  deleteRuleset(id: number): void {
    this.#rulesets.delete(id);
  }

  putMappings(mappings: MappingBatch, fresh = false): void {
    if (fresh) this.#mappings.create(mappings);
    else this.#mappings.put(mappings);
  }

  deleteMappings(mappings: MappingBatch): void {
    this.#mappings.delete(mappings);
  }

  readMeters(meterIds?: readonly bigint[]): MeterReading[] {
    return this.#counters.readMeters(meterIds);
  }

  readDrops(wireIds?: readonly number[]): DropReading[] {
    return this.#counters.readDrops(wireIds);
  }

  counterEpoch(): bigint {
    return this.#counters.epoch;
  }

  actual(): ReturnType<Datapath["actual"]> {
    const { endpoints } = this.#loaded.maps;
    return {
      endpoints: [...endpoints.entries()].map(([, value]) => decodeEndpoint(value)),
      meters: this.#counters.list(),
      rulesetIds: this.#rulesets.list(),
      mappings: this.#mappings.list(),
    };
  }

  close(): void {
    if (this.#closed) return; // its descriptors' numbers may be someone else's by now
    this.#closed = true;
    this.#counters.close();
    closeLoaded(this.#loaded);
  }
}
