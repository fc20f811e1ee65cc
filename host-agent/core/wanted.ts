import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentItem, HostChange, HostItem, InstanceItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";

/** The feed skipped something or broke its own rules: the only safe answer is a new session with a new snapshot. */
export class FeedBroken extends Error {
  override readonly name = "FeedBroken";
}

interface Items {
  instances: Map<string, InstanceItem>;
  attachments: Map<string, AttachmentItem>;
  rulesets: Map<number, RulesetItem>;
}

/** Ids whose items changed since they were last taken. */
export interface HostDirt {
  instances: Set<string>;
  attachments: Set<string>;
  rulesets: Set<number>;
}

/**
 * Everything that the coordinator's feed has told, as of one version. A snapshot is collected aside and replaces the whole at
 * `in_sync`, so that what the reconciler reads is always complete: before the first one it reads nothing, and after a reconnect it
 * reads the old state until the new one stands. Touches no kernel.
 */
export class HostWanted {
  #items: Items = emptyItems();
  #staged: Items | undefined;
  #dirt: HostDirt = emptyDirt();
  #version = 0n;
  #inSync = false;

  /** Version of the host's scope that the items stand for. */
  get version(): bigint {
    return this.#version;
  }

  /** Whether a snapshot was ever complete. Nothing may be deleted before. Stays true while a later session is being opened. */
  get inSync(): boolean {
    return this.#inSync;
  }

  instance(id: string): InstanceItem | undefined {
    return this.#items.instances.get(id);
  }

  attachment(id: string): AttachmentItem | undefined {
    return this.#items.attachments.get(id);
  }

  ruleset(id: number): RulesetItem | undefined {
    return this.#items.rulesets.get(id);
  }

  instances(): IterableIterator<InstanceItem> {
    return this.#items.instances.values();
  }

  attachments(): IterableIterator<AttachmentItem> {
    return this.#items.attachments.values();
  }

  /** A session was opened: what comes next is a snapshot. */
  beginSnapshot(): void {
    this.#staged = emptyItems();
  }

  /** Part of a snapshot, or a delta. Throws {@link FeedBroken} for a version that does not follow. */
  change(change: HostChange): void {
    if (change.inSnapshot) {
      if (this.#staged === undefined) throw new FeedBroken(`a snapshot of version ${change.version} in the middle of the deltas`);
      for (const item of change.items) store(this.#staged, item, undefined);
      return;
    }
    if (this.#staged !== undefined) throw new FeedBroken(`delta ${change.version} before the snapshot was complete`);
    if (change.version !== this.#version + 1n) throw new FeedBroken(`delta ${change.version} after version ${this.#version}`);
    this.#version = change.version;
    for (const item of change.items) store(this.#items, item, this.#dirt);
  }

  /** The snapshot is complete: it is the state now, and what it does not hold is not wanted. */
  complete(version: bigint): void {
    if (this.#staged === undefined) throw new FeedBroken("in sync without a snapshot");
    const before = this.#items;
    this.#items = this.#staged;
    this.#staged = undefined;
    this.#version = version;
    this.#inSync = true;
    for (const items of [before, this.#items]) {
      for (const id of items.instances.keys()) this.#dirt.instances.add(id);
      for (const id of items.attachments.keys()) this.#dirt.attachments.add(id);
      for (const id of items.rulesets.keys()) this.#dirt.rulesets.add(id);
    }
  }

  takeDirt(): HostDirt {
    const dirt = this.#dirt;
    this.#dirt = emptyDirt();
    return dirt;
  }

  /** Something that was to go is gone and was reported long enough ago: a session that still needs it brings it again. */
  forgetAttachment(id: string): void {
    if (this.#items.attachments.get(id)?.wanted === Wanted.ABSENT) this.#items.attachments.delete(id);
  }

  forgetInstance(id: string): void {
    if (this.#items.instances.get(id)?.wanted === Wanted.ABSENT) this.#items.instances.delete(id);
  }
}

function emptyItems(): Items {
  return { instances: new Map(), attachments: new Map(), rulesets: new Map() };
}

function emptyDirt(): HostDirt {
  return { instances: new Set(), attachments: new Set(), rulesets: new Set() };
}

function store(into: Items, { item }: HostItem, dirt: HostDirt | undefined): void {
  switch (item?.$case) {
    case "instance":
      into.instances.set(item.value.instanceId, item.value);
      dirt?.instances.add(item.value.instanceId);
      return;
    case "attachment":
      into.attachments.set(item.value.attachmentId, item.value);
      dirt?.attachments.add(item.value.attachmentId);
      return;
    case "ruleset":
      // Rules are immutable and their going is not acknowledged: nothing needs to remember it.
      if (item.value.wanted === Wanted.PRESENT) into.rulesets.set(item.value.rulesetId, item.value);
      else into.rulesets.delete(item.value.rulesetId);
      dirt?.rulesets.add(item.value.rulesetId);
      return;
    case undefined:
      throw new FeedBroken("an item of a kind that this agent does not know");
  }
}
