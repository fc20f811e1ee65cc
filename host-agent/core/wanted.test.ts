import { beforeEach, expect, test } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import {
  attachment,
  attachmentItem,
  instance,
  instanceItem,
  namingRulesetItem,
  peerGroup,
  ruleset,
  rulesetItem,
} from "../testing/feed-world.ts";
import { FeedBroken, HostWanted } from "./wanted.ts";

let wanted: HostWanted;
beforeEach(() => {
  wanted = new HostWanted();
  wanted.beginSnapshot();
  wanted.complete(4n);
});

const delta = (version: bigint, ...items: HostItem[]): void => wanted.change({ version, inSnapshot: false, items });

test("a feed that breaks its own rules is refused", () => {
  expect(() => wanted.change({ version: 5n, inSnapshot: true, items: [] })).toThrow(FeedBroken);
  expect(() => wanted.complete(5n)).toThrow(/in sync without a snapshot/);
  expect(() => delta(6n)).toThrow(/delta 6 after version 4/);
  expect(() => delta(5n, { item: undefined })).toThrow(/a kind that this agent does not know/);
});

test("sets of a group that come and go are in the rules that name it, wherever they are told", () => {
  const moved = (added: number[], removed: number[]) =>
    peerGroup({ securityGroupId: "sg-0", addedGroupSetIds: added, removedGroupSetIds: removed });
  const peers = () => wanted.ruleset(2)?.rules.map((rule) => rule.peerGroupSetIds);
  delta(5n, ruleset(namingRulesetItem(2, [[1], [7]])), ruleset(rulesetItem(3)));
  wanted.takeDirt();
  delta(6n, moved([4], [1]));
  expect(peers()).toEqual([[], [4], [7], [4]]);
  expect([...wanted.takeDirt().rulesets]).toEqual([2]);
  // Collected aside, it is wanted only when it is whole.
  wanted.beginSnapshot();
  wanted.resume(6n);
  delta(7n, moved([5], []));
  expect(peers()).toEqual([[], [4], [7], [4]]);
  wanted.complete(7n);
  expect(peers()).toEqual([[], [4, 5], [7], [4, 5]]);
  wanted.beginSnapshot();
  wanted.change({ version: 9n, inSnapshot: true, items: [ruleset(namingRulesetItem(2, [[5], []])), moved([6], [5])] });
  wanted.complete(9n);
  expect(peers()).toEqual([[], [6], [], [6]]);
});

test("only what was to go is forgotten: it may be wanted again by now", () => {
  delta(5n, instance(instanceItem(2)), attachment(attachmentItem(1, 2)));
  wanted.forgetAttachment("eni-attach-1");
  wanted.forgetInstance("i-2");
  expect([...wanted.attachments(), ...wanted.instances()]).toHaveLength(2);
  delta(6n, instance(instanceItem(2, { wanted: Wanted.ABSENT })), attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT })));
  wanted.forgetAttachment("eni-attach-1");
  wanted.forgetInstance("i-2");
  expect([...wanted.attachments(), ...wanted.instances()]).toEqual([]);
});

test("what is forgotten while what was missed is collected does not come back with it, unless it was told there anew", () => {
  const gone = (id: number, on: number): HostItem => attachment(attachmentItem(id, on, { wanted: Wanted.ABSENT }));
  delta(5n, gone(1, 2), gone(3, 2));
  wanted.beginSnapshot();
  wanted.resume(5n);
  wanted.owed({ version: 5n, items: [gone(3, 2)] });
  for (const id of ["eni-attach-1", "eni-attach-3"]) wanted.forgetAttachment(id);
  wanted.complete(5n);
  expect([...wanted.attachments()].map(({ attachmentId }) => attachmentId)).toEqual(["eni-attach-3"]);
});
