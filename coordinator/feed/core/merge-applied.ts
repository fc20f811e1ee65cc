import type { Applied, AttachmentStatus, InstanceStatus } from "#gen/plenum/host/v1/host_feed.ts";

/** Of each kind that waits to be written: four times what a host may watch, and more than one can carry. */
export const MOST_PENDING = 65_536;
/** UTF-16 units of all names and texts that wait. */
const MOST_TEXT = 2 ** 24;

const attachmentLength = ({ attachmentId, message }: AttachmentStatus): number => attachmentId.length + message.length;
const instanceLength = ({ instanceId, message, netnsPath }: InstanceStatus): number =>
  instanceId.length + message.length + netnsPath.length;

/** What a host said and nobody has written yet: the newest of everything, however much it said meanwhile. */
export class PendingApplied {
  #hostVersion = 0n;
  readonly #networks = new Map<bigint, bigint>();
  readonly #attachments = new Map<string, AttachmentStatus>();
  readonly #instances = new Map<string, InstanceStatus>();
  #text = 0;

  add(applied: Applied): void {
    if (applied.hostVersion > this.#hostVersion) this.#hostVersion = applied.hostVersion;
    for (const [networkId, version] of applied.networkVersions) {
      if (version > (this.#networks.get(networkId) ?? -1n)) this.#networks.set(networkId, version);
    }
    for (const status of applied.attachments) {
      const before = this.#attachments.get(status.attachmentId);
      this.#text += attachmentLength(status) - (before === undefined ? 0 : attachmentLength(before));
      this.#attachments.set(status.attachmentId, status);
    }
    for (const status of applied.instances) {
      const before = this.#instances.get(status.instanceId);
      this.#text += instanceLength(status) - (before === undefined ? 0 : instanceLength(before));
      this.#instances.set(status.instanceId, status);
    }
  }

  /** More than any host has to say: it invents what it says. */
  get tooMuch(): boolean {
    return Math.max(this.#networks.size, this.#attachments.size, this.#instances.size) > MOST_PENDING || this.#text > MOST_TEXT;
  }

  get hostVersion(): bigint {
    return this.#hostVersion;
  }

  get networks(): ReadonlyMap<bigint, bigint> {
    return this.#networks;
  }

  get attachments(): readonly AttachmentStatus[] {
    return [...this.#attachments.values()];
  }

  get instances(): readonly InstanceStatus[] {
    return [...this.#instances.values()];
  }

  /** Only versions: nothing changes state by it. */
  get versionsOnly(): boolean {
    return this.#attachments.size === 0 && this.#instances.size === 0;
  }
}
