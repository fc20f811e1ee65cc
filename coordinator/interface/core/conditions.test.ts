import { describe, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { attachmentConditions } from "./conditions.ts";
import type { ConditionFacts, HostSight, Observed } from "./conditions.ts";

const applied: Observed = {
  state: AttachmentState.ATTACHED,
  hostId: "host-1",
  wanted: Wanted.PRESENT,
  generation: 2n,
  instanceId: "i-1",
  appliedGeneration: 2n,
  appliedState: AppliedState.PRESENT,
  appliedMessage: "",
  appliedTime: new Date(2_000),
  changeTime: new Date(1_000),
};
const up = { hostId: "host-1", connected: true, silent: false, lastSeen: new Date(3_000) };
const facts: ConditionFacts = { sight: "all", host: up, reach: { watching: 2, behind: [] } };
const barred = { ...up, connected: false, silent: true, barred: true };
const away: ConditionFacts = { ...facts, host: { ...up, connected: false } };

const summary = (at: Observed, given: ConditionFacts) =>
  attachmentConditions(at, given).map(({ type, status, reason }) => [type, status, reason]);
const { TRUE, FALSE, UNKNOWN } = ConditionStatus;

describe("conditions", () => {
  test.each<[string, Observed, ConditionFacts, unknown[]]>([
    [
      "applied",
      applied,
      facts,
      [
        ["Programmed", TRUE, "Applied"],
        ["Reachable", TRUE, "AllHostsApplied"],
      ],
    ],
    [
      "not placed",
      { ...applied, hostId: null },
      { sight: "all", host: undefined, reach: undefined },
      [
        ["Programmed", FALSE, "NotPlaced"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "stopping",
      { ...applied, wanted: Wanted.ABSENT },
      facts,
      [
        ["Programmed", FALSE, "InstanceStopping"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "applied, by a host that was barred since",
      applied,
      { ...facts, host: barred },
      [
        ["Programmed", UNKNOWN, "HostBarred"],
        ["Reachable", TRUE, "AllHostsApplied"],
      ],
    ],
    [
      "asked for more of a host that is barred, which could not do what was asked before",
      { ...applied, appliedState: AppliedState.FAILED },
      { ...facts, host: barred, waitedSeconds: 2 },
      [
        ["Programmed", UNKNOWN, "HostBarred"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "on its way off a host that is barred",
      { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n },
      { ...facts, host: barred },
      [["Detached", UNKNOWN, "HostBarred"]],
    ],
    [
      "asked for more",
      { ...applied, generation: 3n },
      facts,
      [
        ["Programmed", FALSE, "WaitingForHost"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "waited in vain",
      { ...applied, generation: 3n },
      { ...facts, waitedSeconds: 5 },
      [
        ["Programmed", FALSE, "WaitTimedOut"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "failed",
      { ...applied, appliedState: AppliedState.FAILED },
      facts,
      [
        ["Programmed", FALSE, "HostFailed"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "host away, not applied",
      { ...applied, generation: 3n },
      { ...away, waitedSeconds: 5 },
      [
        ["Programmed", UNKNOWN, "HostDisconnected"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "host away, applied",
      applied,
      away,
      [
        ["Programmed", UNKNOWN, "HostDisconnected"],
        ["Reachable", TRUE, "AllHostsApplied"],
      ],
    ],
    [
      "applied, and its host is cut off",
      applied,
      { ...facts, host: { ...up, cutOff: true } },
      [
        ["Programmed", FALSE, "SubstrateDown"],
        ["Reachable", FALSE, "SubstrateDown"],
      ],
    ],
    [
      "not applied, and its host is cut off",
      { ...applied, appliedState: AppliedState.FAILED },
      { ...facts, host: { ...up, cutOff: true } },
      [
        ["Programmed", FALSE, "HostFailed"],
        ["Reachable", FALSE, "NotProgrammed"],
      ],
    ],
    [
      "others behind",
      applied,
      { ...facts, reach: { watching: 2, behind: ["host-2"] } },
      [
        ["Programmed", TRUE, "Applied"],
        ["Reachable", FALSE, "HostsBehind"],
      ],
    ],
    [
      "detaching",
      { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n },
      facts,
      [["Detached", FALSE, "WaitingForHost"]],
    ],
    [
      "detaching, host away",
      { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n },
      away,
      [["Detached", UNKNOWN, "HostDisconnected"]],
    ],
    ["detached", { ...applied, state: AttachmentState.DETACHED, wanted: Wanted.ABSENT }, facts, [["Detached", TRUE, "Applied"]]],
  ])("%s", (_name, at, given, expected) => {
    expect(summary(at, given)).toEqual(expected);
  });

  test("a silent host comes with a remedy, those behind with their names, and what was observed with its generation", () => {
    const leaving = { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n };
    expect(attachmentConditions(leaving, away)[0]?.message).toMatch(/silent since 1970.*its addresses stay taken/);
    const behind = { ...facts, reach: { watching: 9, behind: ["host-2", "host-3", "host-4", "host-5"] } };
    expect(attachmentConditions(applied, behind)[1]?.message).toBe(
      "4 of 9 connected hosts of the network have not applied it: host-2, host-3, host-4, …",
    );
    expect(attachmentConditions({ ...applied, generation: 3n }, facts)[0]).toMatchObject({ observedGeneration: 2n });
    expect(attachmentConditions(applied, facts)[0]?.lastTransitionTime).toEqual(new Date(2_000));
  });
});

test("a host that was never seen is not said to be silent since some time; what nobody looked at is not known", () => {
  const never = { ...up, connected: false, lastSeen: undefined };
  expect(attachmentConditions(applied, { ...facts, host: never })[0]?.message).toContain("host host-1 never connected");
  expect(summary(applied, { ...facts, reach: undefined })[1]).toEqual(["Reachable", UNKNOWN, "NotObserved"]);
});

describe("a forced end", () => {
  const ending: Observed = { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n };
  const silent = { ...up, connected: false, silent: true };
  const force = { watching: 3, behind: ["host-2", "host-3"] };
  const only = (at: Observed, given: ConditionFacts) => attachmentConditions(at, given)[0];

  test("names who is awaited, and how long the caller waited", () => {
    expect(only(ending, { ...facts, host: silent, force })).toMatchObject({ status: FALSE, reason: "WaitingForOtherHosts" });
    expect(only(ending, { ...facts, host: silent, force })?.message).toContain("2 of 3 reachable hosts of the network");
    expect(only(ending, { ...facts, host: silent, force })?.message).toContain("host-2, host-3");
    expect(only(ending, { ...facts, host: silent, force, waitedSeconds: 2 })).toMatchObject({ reason: "WaitTimedOut" });
  });

  test("is the host's own affair again once it is back", () => {
    expect(only(ending, { ...facts, force })).toMatchObject({ status: FALSE, reason: "WaitingForHost" });
  });

  test("is told from one that the host acknowledged, until the host says so", () => {
    const over: Observed = { ...ending, state: AttachmentState.DETACHED };
    expect(only({ ...over, unconfirmed: ["host-1"] }, facts)).toMatchObject({ type: "Detached", status: TRUE, reason: "Forced" });
    expect(only(over, facts)).toMatchObject({ type: "Detached", status: TRUE, reason: "Applied" });
  });

  test("of an attachment that goes on elsewhere is told beside the rest", () => {
    const conditions = attachmentConditions({ ...applied, unconfirmed: ["host-7"] }, facts);
    expect(conditions.map((one) => [one.type, one.status, one.reason])).toEqual([
      ["Programmed", TRUE, "Applied"],
      ["Reachable", TRUE, "AllHostsApplied"],
      ["Departed", UNKNOWN, "Forced"],
    ]);
    expect(conditions[2]?.message).toContain("host-7");
  });
});

test("ids of hosts are for operators; the owner of the instance reads its own; the number of others is for all", () => {
  const ids = ["host-1", "host-2", "host-3", "host-8"];
  const silent = { ...up, connected: false, silent: true };
  const read = (sight: HostSight): string => {
    const given: ConditionFacts[] = [
      { ...facts, sight, reach: { watching: 3, behind: ["host-2", "host-3"] } },
      { ...away, sight },
      { ...facts, sight, waitedSeconds: 2 },
      { ...facts, sight, host: silent, force: { watching: 3, behind: ["host-2", "host-3"] } },
      { ...facts, sight, host: undefined, force: { watching: 3, behind: ["host-2"] } },
    ];
    const failed = { ...applied, appliedState: AppliedState.FAILED };
    const leaving: Observed = { ...applied, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: 3n };
    const over: Observed = { ...leaving, state: AttachmentState.DETACHED, unconfirmed: ["host-1", "host-8"] };
    const all = [applied, { ...applied, generation: 3n, unconfirmed: ["host-8"] }, failed, leaving, over];
    return all.flatMap((at) => given.flatMap((one) => attachmentConditions(at, one).map(({ message }) => message))).join("\n");
  };
  const named = (sight: HostSight) => ids.filter((id) => read(sight).includes(id));
  expect(named("all")).toEqual(ids);
  expect(named("own")).toEqual(["host-1"]);
  expect(named("none")).toEqual([]);
  for (const sight of ["all", "own", "none"] as const) {
    expect(read(sight)).toContain("2 of 3 connected hosts of the network");
    expect(read(sight)).toContain("2 of 3 reachable hosts of the network");
  }
});
