import type { AttachmentItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { Attempts } from "./attempts.ts";
import { deviceOf, endpointOf, sameDevice, sameEndpoint } from "./convert.ts";
import type { EndpointSpec } from "./convert.ts";
import { Guards } from "./guards.ts";
import { Leftovers } from "./leftovers.ts";
import { Meters } from "./meters.ts";
import type { LastReadings, MeterTimes } from "./meters.ts";
import type { Datapath, Device, Devices, DeviceSpec, Endpoint, NetworkNews } from "./ports.ts";
import { Rulesets } from "./rulesets.ts";
import { DeltaTracker } from "./tracker.ts";

interface ActualDevice extends Device {
  /** How it was configured; unknown of one that was found after a restart. */
  spec: DeviceSpec | undefined;
}

/**
 * Rulesets, meters, devices and endpoints: all that an attachment is in the kernel, by wire id. Each method is one stage of a pass;
 * what misses something of an earlier stage waits. The order is the reconciler's.
 */
export class Interfaces {
  readonly rulesets: Rulesets;
  readonly meters: Meters;
  readonly devices = new DeltaTracker<number, DeviceSpec, ActualDevice>((w, a) => a.spec !== undefined && sameDevice(w, a.spec));
  readonly endpoints = new DeltaTracker<number, Endpoint>(sameEndpoint);
  readonly #guards: Guards;
  readonly #leftovers = new Leftovers();
  readonly #specs = new Map<number, EndpointSpec>();
  readonly #datapath: Datapath;
  readonly #driver: Devices;
  readonly #attempts: Attempts;

  constructor(ports: { datapath: Datapath; devices: Devices } & LastReadings, attempts: Attempts, times: MeterTimes) {
    this.#datapath = ports.datapath;
    this.#driver = ports.devices;
    this.#attempts = attempts;
    this.#guards = new Guards(ports.datapath);
    this.rulesets = new Rulesets(ports.datapath, attempts, (id) => this.#aimAll(id));
    this.meters = new Meters(ports.datapath, attempts, times, ports, (wireId) => this.#specs.get(wireId)?.meterId);
  }

  /** Takes over what a predecessor left, before anything is wanted. */
  adopt(found: Omit<ReturnType<Datapath["actual"]>, "mappings">): void {
    this.rulesets.adopt(found.rulesetIds);
    for (const meter of found.meters) this.meters.tracker.doubt(meter.meterId, meter);
    for (const endpoint of found.endpoints) this.endpoints.present(endpoint.wireId, endpoint);
    this.observe();
  }

  /**
   * Looks which devices there are, and whether they are up and of the right length: a guest that deletes its own takes the host's end
   * with it (D24). Returns wire ids that changed; what is not as wanted any more is made so by the next pass.
   */
  observe(): number[] {
    const changed: number[] = [];
    const seen = new Map(this.#driver.list().map((device) => [device.wireId, device]));
    for (const [wireId, known] of [...this.devices.possibleEntries()]) {
      const found = seen.get(wireId);
      if (found?.ifindex === known.ifindex && found.instanceId === known.instanceId) {
        seen.delete(wireId);
        if (known.spec !== undefined && (!found.up || found.mtu !== known.spec.guestMtu)) changed.push(this.#doubtDevice(wireId, known));
      } else if (found === undefined) this.devices.absent(wireId);
      if (found?.ifindex !== known.ifindex) changed.push(wireId);
    }
    for (const [wireId, device] of seen) {
      this.devices.present(wireId, { ...device, spec: undefined });
      changed.push(wireId);
    }
    for (const wireId of changed) this.#aim(wireId);
    return changed;
  }

  /** Whether these changes of devices (by ifindex) made one of ours otherwise than it is to be. */
  concerned(links: NetworkNews["links"]): boolean {
    if (links.size === 0) return false;
    for (const [, { ifindex, spec }] of this.devices.possibleEntries()) {
      if (spec === undefined || !links.has(ifindex)) continue;
      const now = links.get(ifindex);
      if (now?.carrier !== true || now.mtu !== spec.guestMtu) return true;
    }
    return false;
  }

  /**
   * Looks whether devices run our program still: the next few of all, and the `suspects` (by ifindex). Returns the wire ids of those that
   * do not; the next pass attaches it again.
   */
  checkGuards(suspects: ReadonlySet<number>): number[] {
    return this.#guards.unguarded(this.devices, suspects).map(([wireId, device]) => this.#doubtDevice(wireId, device));
  }

  #doubtDevice(wireId: number, device: ActualDevice): number {
    this.devices.doubt(wireId, device);
    return wireId;
  }

  /** Throws NotConvertible; then nothing of it is wanted. */
  want(item: AttachmentItem, guestMtu: number): void {
    const { wireId } = item;
    const before = this.#specs.get(wireId);
    try {
      const spec = endpointOf(item, guestMtu);
      const device = deviceOf(item, guestMtu);
      if (before !== undefined && before.meterId !== spec.meterId) this.meters.tracker.unwant(before.meterId);
      this.#specs.set(wireId, spec);
      this.meters.tracker.want(spec.meterId, { wireId, meterId: spec.meterId });
      this.devices.want(wireId, device);
    } catch (error) {
      this.unwant(wireId);
      throw error;
    } finally {
      this.#aim(wireId);
      this.#touched(wireId, item.meterId);
    }
  }

  unwant(wireId: number): void {
    const spec = this.#specs.get(wireId);
    this.#specs.delete(wireId);
    if (spec !== undefined) this.meters.tracker.unwant(spec.meterId);
    this.devices.unwant(wireId);
    this.#aim(wireId);
    this.#touched(wireId, spec?.meterId ?? 0n);
  }

  /** What names one that cannot be is closed at once: its old rules are not wanted any more. */
  putRulesets(): void {
    if (this.rulesets.put()) this.close();
  }

  /** Traffic stops here: never put off to a later pass. */
  close(): void {
    for (const [wireId, endpoint] of this.endpoints.pendingDeletes()) this.#close(wireId, endpoint);
  }

  /**
   * What a predecessor left open to a device that is not there any more: what is for it would be lost and counted by nobody, or reach
   * whoever has the device's number now. For as long as nothing is known to be wanted; afterwards `close` does it.
   */
  closeStranded(): void {
    for (const [wireId, endpoint] of [...this.endpoints.possibleEntries()])
      if (this.devices.possible(wireId)?.ifindex !== endpoint.ifindex) this.#close(wireId, endpoint);
  }

  #close(wireId: number, endpoint: Endpoint): void {
    const step = (): void => {
      this.endpoints.doubt(wireId, endpoint);
      this.#datapath.closeEndpoint(wireId);
      this.endpoints.absent(wireId);
    };
    this.#attempts.run(closeKey(wireId), step, true);
  }

  /** Guarded and closed; on instances that are there. */
  makeDevices(exists: (instanceId: string) => boolean): void {
    const taken = this.#taken();
    for (const [wireId, spec] of this.devices.pendingPuts()) {
      if (!exists(spec.instanceId) || taken(spec)) continue;
      this.#attempts.run(deviceKey(wireId), () => {
        // An interrupted one has no endpoint (ifindex 0 is none) but has to be removed if it is not wanted any more.
        this.devices.doubt(wireId, this.devices.possible(wireId) ?? { wireId, instanceId: spec.instanceId, ifindex: 0, spec: undefined });
        const device = this.#driver.ensure(spec, (ifindex) => this.#datapath.guardDevice(ifindex));
        this.devices.present(wireId, { ...device, spec });
        this.#aim(wireId);
      });
    }
  }

  /** Last, with everything that the endpoint names in place. */
  open(): void {
    for (const [wireId, endpoint] of this.endpoints.pendingPuts()) {
      if (!this.rulesets.isThere(endpoint.rulesetId)) continue;
      if (this.meters.tracker.actual(endpoint.meterId) === undefined) continue;
      // A device that was found and could not be configured again keeps what it has, and gets nothing new.
      const configured = this.devices.actual(wireId)?.spec !== undefined;
      if (!configured && this.endpoints.possible(wireId)?.ifindex !== endpoint.ifindex) continue;
      this.#attempts.run(endpointKey(wireId), () => {
        this.endpoints.doubt(wireId, endpoint);
        this.#datapath.putEndpoint(endpoint);
        this.endpoints.present(wireId, endpoint);
      });
    }
  }

  /** Returns when to look again. */
  retireMeters(now: number): number | undefined {
    return this.meters.retire(now, ({ wireId, meterId }) => this.endpoints.possible(wireId)?.meterId === meterId);
  }

  /** What is gone for everybody but the guest, which may keep an idle device a moment longer (Leftovers). Returns when to look again. */
  removeDevices(now: number): number | undefined {
    const leftovers = this.devices.pendingDeletes().filter(([wireId]) => {
      const closed = this.endpoints.possible(wireId) === undefined && !this.meters.owesReading(wireId);
      return closed && !this.#attempts.waits(deviceKey(wireId));
    });
    const inTheWay = (): boolean => {
      const taken = this.#taken();
      return this.devices.pendingPuts().some(([, spec]) => taken(spec));
    };
    const wires = leftovers.map(([wireId]) => wireId);
    const { due, lookAt } = this.#leftovers.due(now, wires, { urgent: inTheWay(), busy: this.#attempts.worked });
    const removed = this.#remove(leftovers.filter(([wireId]) => due.has(wireId)));
    return removed && (inTheWay() || leftovers.length > due.size || this.devices.pendingPuts().length > 0) ? now : lookAt;
  }

  /** True: at least one. */
  #remove(going: readonly [number, ActualDevice][]): boolean {
    const remove = (key: string, some: typeof going): boolean =>
      this.#attempts.run(key, () => {
        for (const [wireId, device] of some) this.devices.doubt(wireId, device);
        this.#driver.remove(some.map(([wireId]) => wireId));
        for (const [wireId] of some) this.devices.absent(wireId);
      });
    if (going.length > 1 && remove(MANY_KEY, going)) return true;
    // One that cannot be removed must not keep the others.
    return going.filter((one) => remove(deviceKey(one[0]), [one])).length > 0;
  }

  deleteRulesets(): void {
    this.rulesets.delete(() => {
      const used = new Set<number>();
      for (const [, endpoint] of this.endpoints.possibleEntries()) used.add(endpoint.rulesetId);
      for (const spec of this.#specs.values()) used.add(this.rulesets.numberOf(spec.rulesetId));
      return used;
    });
  }

  /** The endpoint is open just as wanted, on its device. */
  isOpen(wireId: number): boolean {
    return this.endpoints.settled(wireId) && this.devices.settled(wireId);
  }

  /** No packet passes, and its last reading was reported. Its meter and its device may be left, which nothing can pass. */
  isGone(wireId: number): boolean {
    return this.endpoints.possible(wireId) === undefined && !this.meters.owesReading(wireId);
  }

  /** Whether an instance still has a device. */
  occupies(instanceId: string): boolean {
    for (const [, device] of this.devices.possibleEntries()) if (device.instanceId === instanceId) return true;
    return false;
  }

  /** Why an attachment is not as wanted, if something of it failed or is missing in the feed. */
  failure(wireId: number): string | undefined {
    const message = (key: string): string | undefined => this.#attempts.message(key);
    const spec = this.#specs.get(wireId);
    if (spec === undefined) return message(closeKey(wireId)) ?? message(deviceKey(wireId));
    return (
      this.rulesets.failure(spec.rulesetId) ??
      this.meters.failure(spec.meterId) ??
      message(closeKey(wireId)) ??
      message(deviceKey(wireId)) ??
      message(endpointKey(wireId))
    );
  }

  /** Whether another attachment's device, on its way out, still has the name that this one's is to get. As of now. */
  #taken(): (spec: DeviceSpec) => boolean {
    // Of one that was found after a restart the index is not known (undefined): any may be its.
    const indexes = new Map<string, Set<number | undefined>>();
    for (const [, { instanceId, spec }] of this.devices.pendingDeletes()) {
      const ofInstance = indexes.get(instanceId) ?? new Set();
      indexes.set(instanceId, ofInstance.add(spec?.deviceIndex));
    }
    return ({ instanceId, deviceIndex }) => {
      const ofInstance = indexes.get(instanceId);
      return ofInstance !== undefined && (ofInstance.has(deviceIndex) || ofInstance.has(undefined));
    };
  }

  #aimAll(rulesetId: number): void {
    for (const [wireId, spec] of this.#specs) if (spec.rulesetId === rulesetId) this.#aim(wireId);
  }

  /** An endpoint is wanted as soon as its device is there, on that device; and not with rules that cannot be. */
  #aim(wireId: number): void {
    const spec = this.#specs.get(wireId);
    const device = this.devices.possible(wireId);
    if (
      spec !== undefined &&
      this.rulesets.canBe(spec.rulesetId) &&
      device !== undefined &&
      device.ifindex !== 0 &&
      device.instanceId === this.devices.wanted(wireId)?.instanceId
    ) {
      this.endpoints.want(wireId, { ...spec, rulesetId: this.rulesets.numberOf(spec.rulesetId), ifindex: device.ifindex });
    } else this.endpoints.unwant(wireId);
  }

  #touched(wireId: number, meterId: bigint): void {
    for (const key of [closeKey(wireId), deviceKey(wireId), endpointKey(wireId)]) this.#attempts.forget(key);
    this.meters.touched(meterId);
  }
}

const closeKey = (wireId: number): string => `closing of ${wireId}`;
const MANY_KEY = "removal of devices";
const deviceKey = (wireId: number): string => `device of ${wireId}`;
const endpointKey = (wireId: number): string => `endpoint of ${wireId}`;
