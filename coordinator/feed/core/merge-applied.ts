import type { Applied, AttachmentStatus, InstanceStatus } from "#gen/plenum/host/v1/host_feed.ts";

/** What a host said and nobody has written yet: the newest of everything, however much it said meanwhile. */
export class PendingApplied {
  #hostVersion = 0n;
  readonly #networks = new Map<bigint, bigint>();
  readonly #attachments = new Map<string, AttachmentStatus>();
  readonly #instances = new Map<string, InstanceStatus>();

  add(applied: Applied): void {
    if (applied.hostVersion > this.#hostVersion) this.#hostVersion = applied.hostVersion;
    for (const [networkId, version] of applied.networkVersions) {
      if (version > (this.#networks.get(networkId) ?? -1n)) this.#networks.set(networkId, version);
    }
    for (const status of applied.attachments) this.#attachments.set(status.attachmentId, status);
    for (const status of applied.instances) this.#instances.set(status.instanceId, status);
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
