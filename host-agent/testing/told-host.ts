import type { AppliedState, HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { FakeHost } from "./fake-host.ts";
import { attachment, attachmentItem, instance, instanceItem, ruleset, rulesetItem } from "./feed-world.ts";
import type { FeedWorld } from "./feed-world.ts";

/** Tells a host of changes, whose order means nothing; the world is what its feed holds by then. */
export function tellHost(host: FakeHost, world: FeedWorld, items: HostItem[]): void {
  for (const { item } of items) {
    if (item?.$case === "instance") world.instances.set(item.value.instanceId, item.value);
    if (item?.$case === "attachment") world.attachments.set(item.value.attachmentId, item.value);
    if (item?.$case === "ruleset") world.rulesets.set(item.value.rulesetId, item.value);
  }
  host.change({ scope: "host", items });
}

/** Instance 2 (with a process) and attachment 1 on it, applied. */
export function attachOne(host: FakeHost, world: FeedWorld): void {
  host.snapshot(world);
  tellHost(host, world, [instance(instanceItem(2)), attachment(attachmentItem(1, 2)), ruleset(rulesetItem(1))]);
  host.pass();
}

/** What is new to say of attachments: id, state, message. */
export const newStates = (host: FakeHost): [string, AppliedState, string][] =>
  host.reconciler.statuses.takeNew().attachments.map((s) => [s.attachmentId, s.state, s.message]);
