import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentItem } from "#gen/plenum/host/v1/host_feed.ts";
import { Attempts } from "./attempts.ts";
import type { Backoff } from "#lib/retry/backoff.ts";
import { instanceOf, NotConvertible, rulesetOf } from "./convert.ts";
import { Instances } from "./instances.ts";
import { Interfaces } from "./interfaces.ts";
import { Mappings } from "./mappings.ts";
import type { LastReadings, MeterTimes } from "./meters.ts";
import type { Datapath, Devices, InstanceDriver, NetworkNews, Underlay } from "./ports.ts";
import { Statuses } from "./statuses.ts";
import { Substrate } from "./substrate.ts";
import { HostWanted } from "./wanted.ts";

export interface ReconcilerPorts extends LastReadings {
  datapath: Datapath;
  devices: Devices;
  instances: InstanceDriver;
  underlay: Underlay;
  /** Monotonic milliseconds. */
  clock(): number;
  /** Something that a pass started has ended: there is work for another one. */
  wake(): void;
  /** A step failed; it is tried again. */
  failed(step: string, error: Error): void;
  /** Somebody removed or changed what is the agent's; the next pass makes it as wanted. */
  lost(what: Lost, count: number): void;
}

/** A guest's device that is gone, down or of another MTU; its program; the tunnel, device or program. */
export const LOST = ["device", "guard", "tunnel"] as const;
export type Lost = (typeof LOST)[number];

export interface ReconcilerSettings extends MeterTimes {
  /** What guests may send at IP level (D12). */
  guestMtu: number;
  backoff: Backoff;
  /** What a pass may take before it leaves the rest to the next one, milliseconds. */
  budgetMs: number;
  /** Any 32 bits, different in each process: what is found by addresses, which tenants choose, is spread by it. */
  seed: number;
}

export interface PassResult {
  /** False: its time was over before the work was done; go on soon. */
  complete: boolean;
  /** When something is due that no event will tell of: a failed step, a grace period. By the port's clock. */
  wakeAt: number | undefined;
  /** VNIs whose mappings this pass brought to their newest version. */
  networks: number[];
}

/** Where an attachment's item put it, to undo that when the item changes. */
interface Place {
  wireId: number;
  instanceId: string;
  networkId: bigint;
  vni: number;
  /** Why it cannot be converted. */
  error: string | undefined;
}

/**
 * Brings the kernel to what the feeds want. Feeds change `host` and `mappings`, which touches nothing; `pass` does the work, in the one
 * order that never lets a packet through unjudged or uncounted. A pass from any kernel state leads to the same end.
 */
export class Reconciler {
  readonly host = new HostWanted();
  readonly mappings: Mappings;
  readonly interfaces: Interfaces;
  readonly instances: Instances;
  readonly attempts: Attempts;
  readonly statuses: Statuses;
  readonly substrate: Substrate;
  readonly #ports: ReconcilerPorts;
  readonly #settings: ReconcilerSettings;
  readonly #places = new Map<string, Place>();
  readonly #byInstance = new Map<string, Set<string>>();
  /** Networks of PRESENT attachments, with how many there are. */
  readonly #networks = new Map<bigint, { vni: number; count: number }>();
  #networksGeneration = 0;
  #appliedVersion = 0n;

  constructor(ports: ReconcilerPorts, settings: ReconcilerSettings) {
    this.#ports = ports;
    this.#settings = settings;
    this.attempts = new Attempts({
      backoff: settings.backoff,
      clock: () => ports.clock(),
      budgetMs: settings.budgetMs,
      onFailure: (key, error) => ports.failed(key, error),
    });
    this.substrate = new Substrate(ports, this.attempts, settings.guestMtu, () => ports.lost("tunnel", 1));
    this.mappings = new Mappings(ports.datapath, this.attempts, settings.seed);
    this.interfaces = new Interfaces(ports, this.attempts, settings);
    this.instances = new Instances(ports.instances, this.attempts, () => ports.wake());
    this.statuses = new Statuses({
      host: this.host,
      instances: this.instances,
      interfaces: this.interfaces,
      conversionError: (id) => this.#places.get(id)?.error,
      attachmentsOf: (instanceId) => this.#byInstance.get(instanceId) ?? [],
    });
  }

  /** Reads what a predecessor left (D21). Once, before the first pass. Changes nothing. */
  adopt(): void {
    const found = this.#ports.datapath.actual();
    this.interfaces.adopt(found);
    this.mappings.adopt(found.mappings);
    this.instances.adopt();
    this.substrate.observe();
  }

  /** Looks for what changed by itself: processes that ended, and `observeDevices`. Returns whether anything did. */
  observe(): boolean {
    const instances = this.instances.observe();
    for (const id of instances) this.statuses.openInstance(id);
    return this.observeDevices() || instances.length > 0;
  }

  /** Looks at what the kernel told of, at the substrate, and at a part of the guards. Returns whether anything changed. */
  heed({ links, filters, overrun }: NetworkNews): boolean {
    const unguarded = this.checkGuards(filters);
    return ((overrun || this.interfaces.concerned(links)) && this.observeDevices()) || unguarded;
  }

  /** Looks at devices alone: the substrate's, the tunnel, the guests'. Returns whether anything changed. */
  observeDevices(): boolean {
    const wires = this.interfaces.observe();
    this.#reopen("device", wires);
    return this.substrate.observe() || wires.length > 0;
  }

  /** Looks whether devices run our programs still: the tunnel, the next few of the guests', and the suspects (by ifindex). */
  checkGuards(suspects: ReadonlySet<number>): boolean {
    const wires = this.interfaces.checkGuards(suspects);
    this.#reopen("guard", wires);
    return this.substrate.observe() || wires.length > 0;
  }

  #reopen(what: Lost, wireIds: readonly number[]): void {
    if (wireIds.length === 0) return;
    this.#ports.lost(what, wireIds.length);
    const wires = new Set(wireIds);
    for (const [id, place] of this.#places) if (wires.has(place.wireId)) this.statuses.openAttachment(id);
  }

  /** Repairs the tunnel, closes what lost its device; nothing else before the host feed was in sync. */
  pass(): PassResult {
    const { interfaces, instances, attempts } = this;
    if (this.host.inSync) this.#absorb();
    const now = attempts.begin();
    this.substrate.repair();
    if (!this.host.inSync) {
      interfaces.closeStranded();
      return { complete: true, wakeAt: attempts.end(), networks: [] };
    }
    interfaces.close();
    interfaces.putRulesets();
    instances.create();
    instances.tellDnsServers();
    instances.tellIdentity();
    interfaces.meters.put();
    interfaces.makeDevices((id) => instances.tracker.actual(id) !== undefined);
    interfaces.open();
    instances.start((id) => this.#ready(id));
    const wakeAt = interfaces.retireMeters(now);
    const leaveAt = interfaces.removeDevices(now);
    instances.remove((id) => this.#free(id));
    interfaces.deleteRulesets();
    if (!attempts.putOff) this.#appliedVersion = this.host.version;
    // Last, with the time that is left: a network may take as long as many passes.
    const networks = this.mappings.apply();
    const complete = !attempts.putOff;
    this.statuses.refresh();
    this.#forget();
    return { complete, wakeAt: earliest(earliest(wakeAt, leaveAt), attempts.end()), networks };
  }

  /** Newest version of the host's scope of which every item was brought to the kernel or reported as FAILED, or is on its way out. */
  get appliedVersion(): bigint {
    return this.#appliedVersion;
  }

  /** Networks to watch, with their VNIs: those of PRESENT attachments (never before the host feed was in sync). */
  watchedNetworks(): ReadonlyMap<bigint, { vni: number }> {
    return this.#networks;
  }

  /** Another number whenever the watched networks may be others. */
  get networksGeneration(): number {
    return this.#networksGeneration;
  }

  /** Takes over what changed in the feed since the last pass. Only memory. */
  #absorb(): void {
    const dirt = this.host.takeDirt();
    for (const id of dirt.rulesets) {
      const item = this.host.ruleset(id);
      if (item === undefined) this.interfaces.rulesets.unwant(id);
      else this.interfaces.rulesets.want(rulesetOf(item));
    }
    for (const id of dirt.instances) {
      this.instances.touched(id);
      this.statuses.openInstance(id);
      for (const attachment of this.#byInstance.get(id) ?? []) this.statuses.openAttachment(attachment);
    }
    // Whom an instance asks for names follows from all of its attachments: those it had, too.
    const concerned = new Set(dirt.instances);
    for (const id of dirt.attachments) concerned.add(this.#places.get(id)?.instanceId ?? "");
    for (const id of dirt.attachments) this.#displace(id);
    for (const id of dirt.attachments) this.#place(id);
    for (const id of dirt.attachments) concerned.add(this.#places.get(id)?.instanceId ?? "");
    for (const id of concerned) this.#wantInstance(id);
    // What an earlier agent left is of no attachment at all: nothing wants it, so the trackers already count it as pending.
    if (dirt.attachments.size > 0 || this.#networksGeneration === 0) {
      this.#networksGeneration += 1;
      this.mappings.keepOnly(new Set([...this.#networks.values()].map(({ vni }) => vni)));
    }
  }

  #wantInstance(id: string): void {
    const item = this.host.instance(id);
    // uncovered: what is placed is in the feed; only the type cannot say so
    const attachments = [...(this.#byInstance.get(id) ?? [])].flatMap((attachment) => this.host.attachment(attachment) ?? []);
    if (item?.wanted === Wanted.PRESENT) this.instances.tracker.want(id, instanceOf(item, attachments));
    else this.instances.tracker.unwant(id);
  }

  #displace(id: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    this.#byInstance.get(place.instanceId)?.delete(id);
    if (this.#byInstance.get(place.instanceId)?.size === 0) this.#byInstance.delete(place.instanceId);
    const network = this.#networks.get(place.networkId);
    if (network !== undefined && --network.count === 0) this.#networks.delete(place.networkId);
    const item = this.host.attachment(id);
    if (item?.wanted !== Wanted.PRESENT || item.wireId !== place.wireId) this.interfaces.unwant(place.wireId);
    this.statuses.openInstance(place.instanceId);
  }

  #place(id: string): void {
    this.statuses.openAttachment(id);
    const item = this.host.attachment(id);
    if (item?.wanted !== Wanted.PRESENT) return;
    const { wireId, instanceId, networkId, vni } = item;
    this.#places.set(id, { wireId, instanceId, networkId, vni, error: this.#convert(item) });
    const siblings = this.#byInstance.get(instanceId) ?? new Set();
    this.#byInstance.set(instanceId, siblings.add(id));
    const network = this.#networks.get(networkId) ?? { vni, count: 0 };
    network.count += 1;
    this.#networks.set(networkId, network);
    this.statuses.openInstance(instanceId);
  }

  #convert(item: AttachmentItem): string | undefined {
    try {
      this.interfaces.want(item, this.#settings.guestMtu);
      return undefined;
    } catch (error) {
      if (!(error instanceof NotConvertible)) throw error; // uncovered: nothing else is thrown, and what would be must not be swallowed
      return error.message;
    }
  }

  /** All interfaces that the instance is to have are open. */
  #ready(instanceId: string): boolean {
    for (const id of this.#byInstance.get(instanceId) ?? []) {
      const place = this.#places.get(id);
      if (place === undefined || !this.interfaces.isOpen(place.wireId)) return false;
    }
    return true;
  }

  #free(instanceId: string): boolean {
    return !this.#byInstance.has(instanceId) && !this.interfaces.occupies(instanceId);
  }

  /** Items that were to go, are gone, and have no meter left: whoever still needs them brings them with a snapshot. */
  #forget(): void {
    for (const id of this.statuses.goneAttachments()) {
      const item = this.host.attachment(id);
      if (item !== undefined && this.interfaces.meters.tracker.possible(item.meterId) !== undefined) continue;
      this.host.forgetAttachment(id);
      this.statuses.forgetAttachment(id);
    }
    for (const id of this.statuses.goneInstances()) {
      this.host.forgetInstance(id);
      this.statuses.forgetInstance(id);
    }
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
