import { expect, test } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { rulesetOf } from "./convert.ts";

test("a rule's peer is a block, or the sets that hold the group: also none yet", () => {
  const rule = { egress: false, protocol: 6, portFrom: 80, portTo: 81, peerCidr: "10.0.0.0/8", peerIsGroup: false, peerGroupSetIds: [] };
  const group = { ...rule, egress: true, peerCidr: "", peerIsGroup: true, peerGroupSetIds: [3, 5] };
  const rules = [rule, group, { ...group, peerGroupSetIds: [] }];
  const target = { protocol: 6, portFrom: 80, portTo: 81 };
  expect(rulesetOf({ rulesetId: 9, wanted: Wanted.PRESENT, rules })).toEqual({
    id: 9,
    rules: [
      { ...target, direction: "ingress", peerCidr: "10.0.0.0/8" },
      { ...target, direction: "egress", peerGroupSets: [3, 5] },
      { ...target, direction: "egress", peerGroupSets: [] },
    ],
  });
});
