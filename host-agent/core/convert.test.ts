import { describe, expect, test } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { attachmentItem } from "../testing/feed-world.ts";
import { deviceOf, endpointOf, NotConvertible, rulesetOf } from "./convert.ts";

test("a rule's peer is a block, or the sets that hold the group: also none yet", () => {
  const rule = {
    egress: false,
    protocol: 6,
    portFrom: 80,
    portTo: 81,
    peerCidr: "10.0.0.0/8",
    peerIsGroup: false,
    peerGroupSetIds: [],
    peerGroupId: "",
  };
  const group = { ...rule, egress: true, peerCidr: "", peerIsGroup: true, peerGroupSetIds: [3, 5], peerGroupId: "sg-1" };
  const rules = [rule, group, { ...group, peerGroupSetIds: [] }];
  const target = { protocol: 6, portFrom: 80, portTo: 81 };
  expect(rulesetOf({ rulesetId: 9, wanted: Wanted.PRESENT, rules })).toEqual({
    id: 9,
    rules: [
      { ...target, direction: "ingress", peerCidr: "10.0.0.0/8" },
      { ...target, direction: "egress", peerGroupId: "sg-1", peerGroupSets: [3, 5] },
      { ...target, direction: "egress", peerGroupId: "sg-1", peerGroupSets: [] },
    ],
  });
});

describe("what no kernel could hold is refused, and named", () => {
  const item = attachmentItem(1, 2);

  test.each([
    ["an attachment without an address", { addresses: [] }],
    ["an attachment without a meter", { meterId: 0n }],
    ['"10.0.0.1" is not an address with a prefix length', { addresses: ["10.0.0.1"] }],
    ['"10.0.0.1/33" is not an address', { addresses: ["10.0.0.1/33"] }],
    ['"10.0.0.1/8x" is not an address', { addresses: ["10.0.0.1/8x"] }],
    ['"here/24" is not an address', { addresses: ["here/24"] }],
    ['mac_address "02:00" is not a MAC address', { macAddress: "02:00" }],
    ["wire id 0 is not in 1 to 4294967295", { wireId: 0 }],
    ["ruleset id 1.5 is not in 1 to 4294967295", { rulesetId: 1.5 }],
  ])("%s", (message, changes) => {
    const convert = (): unknown => endpointOf({ ...item, ...changes }, 1450);
    expect(convert).toThrow(NotConvertible);
    expect(convert).toThrow(message);
  });

  test.each([
    ['gateway "" is not an address', { gateway: "" }],
    ["device index 256 is not in 0 to 255", { deviceIndex: 256 }],
  ])("%s", (message, changes) => {
    expect(() => deviceOf({ ...item, ...changes }, 1450)).toThrow(message);
  });
});
