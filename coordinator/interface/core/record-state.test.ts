import { expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { inTrouble, recordConditions, recordState } from "./record-state.ts";

const at = { host_id: "host-1", generation: 3n, applied_generation: 3n, applied_state: AppliedState.PRESENT as number };

test("the switch comes first, then trouble, then whether it is attached", () => {
  expect(recordState(true, [{ troubled: true }])).toBe(InterfaceState.DISABLED);
  expect(recordState(true, [])).toBe(InterfaceState.DISABLED);
  expect(recordState(false, [])).toBe(InterfaceState.AVAILABLE);
  expect(recordState(false, [{ troubled: false }])).toBe(InterfaceState.IN_USE);
  expect(recordState(false, [{ troubled: false }, { troubled: true }])).toBe(InterfaceState.IN_REPAIR);
});

test("a host that is silent, or failed at what it is asked for now, is trouble; one that is behind is not, nor is none", () => {
  expect(inTrouble(at, false)).toBe(false);
  expect(inTrouble(at, true)).toBe(true);
  expect(inTrouble({ ...at, applied_state: AppliedState.FAILED }, false)).toBe(true);
  expect(inTrouble({ ...at, applied_state: AppliedState.FAILED, generation: 4n }, false)).toBe(false);
  expect(inTrouble({ ...at, host_id: null }, true)).toBe(false);
});

test("its conditions are those of its attachments in one", () => {
  const condition = (status: ConditionStatus, type: string) => ({
    ...{ type, status, reason: `${type}Reason`, message: "why", observedGeneration: 3n, lastTransitionTime: new Date(0) },
  });
  expect(recordConditions([])).toEqual([]);
  const well = {
    attachmentId: "eni-attach-1",
    conditions: ["Programmed", "Reachable"].map((type) => condition(ConditionStatus.TRUE, type)),
  };
  expect(recordConditions([well])).toMatchObject([
    { type: "Carried", status: ConditionStatus.TRUE, reason: "AttachmentsApplied", message: "", observedGeneration: 3n },
  ]);
  const ill = { attachmentId: "eni-attach-2", conditions: [condition(ConditionStatus.UNKNOWN, "Programmed")] };
  expect(recordConditions([well, ill])).toMatchObject([
    { type: "Carried", status: ConditionStatus.UNKNOWN, reason: "ProgrammedReason", message: "eni-attach-2: why" },
  ]);
});
