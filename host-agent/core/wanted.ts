import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentItem, HostChange, HostItem, HostOwed, InstanceItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import { withMovedSets } from "./peer-groups.ts";

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

/** What is collected aside until it is whole. */
interface Stage {
  readonly items: Items;
  /** Of one that goes on from what is held: the newest version in it, and what differs. Undefined of a snapshot. */
  readonly since: { version: bigint; readonly dirt: HostDirt } | undefined;
}

const NO_BOOKMARK = Buffer.alloc(0);

/**
 * Everything that the coordinator's feed has told, as of one version. A snapshot is collected aside and replaces the whole at
 * `in_sync`, so that what the reconciler reads is always complete: before the first one it reads nothing, and after a reconnect it
 * reads the old state until the new one stands. What was missed by a session that goes on from the last one is collected aside, too:
 * an item that came and went meanwhile is never wanted. Touches no kernel.
 */
export class HostWanted {
  #items: Items = emptyItems();
  #staged: Stage | undefined;
  #dirt: HostDirt = emptyDirt();
  #version = 0n;
  #inSync = false;
  #bookmark: Buffer = NO_BOOKMARK;

  /** Version of the host's scope that the items stand for. */
  get version(): bigint {
    return this.#version;
  }

  /** Whether a snapshot was ever complete. Nothing may be deleted before. Stays true while a later session is being opened. */
  get inSync(): boolean {
    return this.#inSync;
  }

  /** The feed's token for just these items; empty: there is none, take a snapshot. */
  get bookmark(): Buffer {
    return this.#bookmark;
  }

  /** The feed was broken: whatever is wrong, a snapshot puts it right. */
  distrust(): void {
    this.#bookmark = NO_BOOKMARK;
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

  /** A session was opened, or cannot go on: what comes next is a snapshot, unless `resume` says otherwise. */
  beginSnapshot(): void {
    this.#staged = { items: emptyItems(), since: undefined };
  }

  /** What comes next goes on from what is held. Throws {@link FeedBroken} when that is another version. */
  resume(version: bigint): void {
    if (this.#staged === undefined || !this.#inSync || version !== this.#version)
      throw new FeedBroken(`resumed at version ${version}, and ${this.#inSync ? this.#version : "nothing"} is held`);
    this.#staged = { items: copyOf(this.#items), since: { version, dirt: emptyDirt() } };
  }

  /** Part of a snapshot, or a delta. Throws {@link FeedBroken} for a version that does not follow. `bookmark`: the token for what is held then. */
  change(change: HostChange, bookmark: Buffer = NO_BOOKMARK): void {
    const stage = this.#staged;
    if (change.inSnapshot) {
      if (stage === undefined || stage.since !== undefined)
        throw new FeedBroken(`a snapshot of version ${change.version} in the middle of the deltas`);
      for (const item of change.items) store(stage.items, item, undefined);
      return;
    }
    if (stage !== undefined && stage.since === undefined) throw new FeedBroken(`delta ${change.version} before the snapshot was complete`);
    const version = stage?.since?.version ?? this.#version;
    if (change.version !== version + 1n) throw new FeedBroken(`delta ${change.version} after version ${version}`);
    if (stage?.since !== undefined) {
      stage.since.version = change.version;
      for (const item of change.items) store(stage.items, item, stage.since.dirt);
      return;
    }
    this.#version = change.version;
    this.#bookmark = NO_BOOKMARK; // half of a change is no place to go on from
    for (const item of change.items) store(this.#items, item, this.#dirt);
    this.#bookmark = bookmark;
  }

  /** Items to go that were perhaps acknowledged and forgotten: they are to be acknowledged again. Throws {@link FeedBroken}. */
  owed({ version, items }: HostOwed): void {
    const stage = this.#staged;
    if (stage?.since?.version !== version) throw new FeedBroken(`items owed as of version ${version}, which is not the newest`);
    for (const item of items) store(stage.items, item, stage.since.dirt);
  }

  /**
   * What was collected is complete: it is the state now, and what it does not hold is not wanted. `bookmark`: the token for it. Throws
   * {@link FeedBroken}.
   */
  complete(version: bigint, bookmark: Buffer = NO_BOOKMARK): void {
    const stage = this.#staged;
    if (stage === undefined) throw new FeedBroken("in sync without a snapshot");
    if (stage.since !== undefined && stage.since.version !== version)
      throw new FeedBroken(`in sync at version ${version} after ${stage.since.version}`);
    const before = this.#items;
    this.#items = stage.items;
    this.#staged = undefined;
    this.#version = version;
    this.#inSync = true;
    this.#bookmark = bookmark;
    if (stage.since !== undefined) {
      const { dirt } = stage.since;
      for (const id of dirt.instances) this.#dirt.instances.add(id);
      for (const id of dirt.attachments) this.#dirt.attachments.add(id);
      for (const id of dirt.rulesets) this.#dirt.rulesets.add(id);
      return;
    }
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
    this.#forget(id, (items) => items.attachments);
  }

  forgetInstance(id: string): void {
    this.#forget(id, (items) => items.instances);
  }

  /** Also where it is collected aside, unless it was told there anew: then it is to be acknowledged anew. */
  #forget(id: string, of: (items: Items) => { get(id: string): { wanted: Wanted } | undefined; delete(id: string): boolean }): void {
    const item = of(this.#items).get(id);
    if (item?.wanted !== Wanted.ABSENT) return;
    of(this.#items).delete(id);
    if (this.#staged !== undefined && of(this.#staged.items).get(id) === item) of(this.#staged.items).delete(id);
  }
}

function copyOf({ instances, attachments, rulesets }: Items): Items {
  return { instances: new Map(instances), attachments: new Map(attachments), rulesets: new Map(rulesets) };
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
      // Their going is not acknowledged: nothing needs to remember it.
      if (item.value.wanted === Wanted.PRESENT) into.rulesets.set(item.value.rulesetId, item.value);
      else into.rulesets.delete(item.value.rulesetId);
      dirt?.rulesets.add(item.value.rulesetId);
      return;
    case "peerGroup":
      for (const [id, ruleset] of into.rulesets) {
        const moved = withMovedSets(ruleset, item.value);
        if (moved === undefined) continue;
        into.rulesets.set(id, moved);
        dirt?.rulesets.add(id);
      }
      return;
    case undefined:
      throw new FeedBroken("an item of a kind that this agent does not know");
  }
}
