import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentStatus, InstanceItem, InstanceStatus } from "#gen/plenum/host/v1/host_feed.ts";
import type { Instances } from "./instances.ts";
import type { Interfaces } from "./interfaces.ts";
import type { HostWanted } from "./wanted.ts";

export interface StatusSources {
  host: HostWanted;
  instances: Instances;
  interfaces: Interfaces;
  conversionError(attachmentId: string): string | undefined;
  /** Attachments that are to be on the instance. */
  attachmentsOf(instanceId: string): Iterable<string>;
}

export interface StatusReport {
  attachments: AttachmentStatus[];
  instances: InstanceStatus[];
}

/**
 * What the coordinator is told of each item, and which of it is news. An item is open until it is as wanted; an open one is looked at
 * after each pass, the others are not.
 */
export class Statuses {
  readonly #from: StatusSources;
  readonly #openAttachments = new Set<string>();
  readonly #openInstances = new Set<string>();
  readonly #attachments = new Map<string, AttachmentStatus>();
  readonly #instances = new Map<string, InstanceStatus>();
  readonly #newAttachments = new Set<string>();
  readonly #newInstances = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #goneInstances = new Set<string>();

  constructor(from: StatusSources) {
    this.#from = from;
  }

  openAttachment(id: string): void {
    this.#openAttachments.add(id);
  }

  openInstance(id: string): void {
    this.#openInstances.add(id);
    this.#goneInstances.delete(id);
  }

  /** After a pass. */
  refresh(): void {
    for (const id of [...this.#openAttachments]) {
      const status = this.#attachmentStatus(id);
      if (status === undefined || status.state !== AppliedState.FAILED) this.#settleAttachment(id, status);
      if (status !== undefined) note(id, status, this.#attachments, this.#newAttachments);
    }
    for (const id of [...this.#openInstances]) {
      const status = this.#instanceStatus(id);
      if (this.#from.host.instance(id) === undefined) this.forgetInstance(id);
      else if (status !== undefined) this.#settleInstance(id, status);
      if (status !== undefined) note(id, status, this.#instances, this.#newInstances);
    }
  }

  /** What changed since it was last taken. */
  takeNew(): StatusReport {
    return this.#take([...this.#newAttachments], [...this.#newInstances]);
  }

  /** Everything that is known of the items as they are now, for a new session. */
  takeAll(): StatusReport {
    const { host } = this.#from;
    const attachments = [...this.#attachments.values()].filter((s) => host.attachment(s.attachmentId)?.generation === s.generation);
    const instances = [...this.#instances.values()].filter((s) => host.instance(s.instanceId)?.generation === s.generation);
    return this.#take(
      attachments.map((s) => s.attachmentId),
      instances.map((s) => s.instanceId),
    );
  }

  get hasNew(): boolean {
    return this.#newAttachments.size + this.#newInstances.size > 0;
  }

  /** Items that have not the state they are to have. */
  get open(): number {
    return this.#openAttachments.size + this.#openInstances.size;
  }

  /** Attachments that were to go, are gone, and whose status was taken. */
  goneAttachments(): string[] {
    return [...this.#gone].filter((id) => !this.#newAttachments.has(id));
  }

  /** Instances likewise. */
  goneInstances(): string[] {
    return [...this.#goneInstances].filter((id) => !this.#newInstances.has(id));
  }

  forgetAttachment(id: string): void {
    this.#gone.delete(id);
    this.#attachments.delete(id);
  }

  forgetInstance(id: string): void {
    this.#goneInstances.delete(id);
    this.#openInstances.delete(id);
    this.#instances.delete(id);
    this.#newInstances.delete(id);
  }

  #take(attachmentIds: readonly string[], instanceIds: readonly string[]): StatusReport {
    this.#newAttachments.clear();
    this.#newInstances.clear();
    return { attachments: existing(attachmentIds, this.#attachments), instances: existing(instanceIds, this.#instances) };
  }

  #settleAttachment(id: string, status: AttachmentStatus | undefined): void {
    if (this.#from.host.attachment(id) === undefined) {
      this.#openAttachments.delete(id);
      this.#attachments.delete(id);
      this.#newAttachments.delete(id);
      this.#gone.delete(id);
      return;
    }
    if (status === undefined) return;
    this.#openAttachments.delete(id);
    if (status.state === AppliedState.ABSENT) this.#gone.add(id);
    else this.#gone.delete(id);
  }

  #settleInstance(id: string, { state }: InstanceStatus): void {
    if (state !== AppliedState.FAILED) this.#openInstances.delete(id);
    if (state === AppliedState.ABSENT) this.#goneInstances.add(id);
    else this.#goneInstances.delete(id);
  }

  /** Undefined: not decided yet, or no item. */
  #attachmentStatus(id: string): AttachmentStatus | undefined {
    const item = this.#from.host.attachment(id);
    if (item === undefined) return undefined;
    const { interfaces } = this.#from;
    const status = (state: AppliedState, message = ""): AttachmentStatus => ({
      attachmentId: id,
      generation: item.generation,
      state,
      message,
    });
    const failed = (message: string | undefined): AttachmentStatus | undefined =>
      message === undefined ? undefined : status(AppliedState.FAILED, message);
    if (item.wanted !== Wanted.PRESENT) {
      return interfaces.isGone(item.wireId) ? status(AppliedState.ABSENT) : failed(interfaces.failure(item.wireId));
    }
    const open = interfaces.isOpen(item.wireId);
    if (open && this.#from.instances.asksAsWanted(item.instanceId)) return status(AppliedState.PRESENT);
    if (open) return failed(this.#from.instances.failure(item.instanceId));
    return failed(this.#from.conversionError(id) ?? this.#instanceTrouble(item.instanceId) ?? interfaces.failure(item.wireId));
  }

  #instanceTrouble(instanceId: string): string | undefined {
    if (this.#from.host.instance(instanceId)?.wanted !== Wanted.PRESENT) return `${instanceId} is not to be on this host`;
    return this.#from.instances.tracker.actual(instanceId) === undefined ? this.#from.instances.failure(instanceId) : undefined;
  }

  #instanceStatus(id: string): InstanceStatus | undefined {
    const item = this.#from.host.instance(id);
    if (item === undefined) return undefined;
    const { tracker } = this.#from.instances;
    const actual = tracker.possible(id)?.status;
    const path = actual?.netnsPath ?? "";
    const failed = (message: string | undefined): InstanceStatus | undefined =>
      message === undefined ? undefined : instanceStatus(item, AppliedState.FAILED, message, path, false);
    if (item.wanted !== Wanted.PRESENT) {
      if (actual === undefined) return instanceStatus(item, AppliedState.ABSENT, "", "", false);
      const [attached] = this.#from.attachmentsOf(id);
      return failed(attached === undefined ? this.#from.instances.failure(id) : `${attached} is still to be attached to it`);
    }
    if (!tracker.settled(id)) return failed(this.#from.instances.failure(id) ?? this.#waitsFor(id));
    const ended = actual?.process.state === "exited" ? `its process ended: ${actual.process.detail}` : "";
    return instanceStatus(item, AppliedState.PRESENT, ended, path, actual?.process.state === "running");
  }

  /** An interface that fails keeps the process of its instance from starting. */
  #waitsFor(instanceId: string): string | undefined {
    for (const id of this.#from.attachmentsOf(instanceId)) {
      const status = this.#attachmentStatus(id);
      if (status?.state === AppliedState.FAILED) return `its process waits for ${id}: ${status.message}`;
    }
    return undefined;
  }
}

function instanceStatus(
  item: InstanceItem,
  state: AppliedState,
  message: string,
  netnsPath: string,
  processRunning: boolean,
): InstanceStatus {
  return { instanceId: item.instanceId, generation: item.generation, state, message, netnsPath, processRunning };
}

/** A status that says the same is no news. */
function note<S extends object>(id: string, status: S, known: Map<string, S>, news: Set<string>): void {
  const before = known.get(id);
  if (before !== undefined && same(before, status)) return;
  known.set(id, status);
  news.add(id);
}

function same<S extends object>(a: S, b: S): boolean {
  return (Object.keys(a) as (keyof S)[]).every((key) => a[key] === b[key]);
}

function existing<S>(ids: readonly string[], known: ReadonlyMap<string, S>): S[] {
  return ids.flatMap((id) => {
    const status = known.get(id);
    return status === undefined ? [] : [status]; // uncovered: what is news is known; only the type cannot say so
  });
}
