import { describe, expect, it } from "vitest";
import { BatchCreateInterfacesRequest, AttachInterfaceRequest, WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { WaitOperationRequest } from "#gen/plenum/operation/v1/operation.ts";
import { ANONYMOUS } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { PlenumError } from "./errors.ts";
import { createThrottle } from "./throttle.ts";
import type { Throttle } from "./throttle.ts";
import { itemsOf, mayWait } from "./weight.ts";

const of = (accountId: string, principalId: string): Caller => ({ kind: "account", principalId, accountId, roles: ["owner"] });
const operator: Caller = { kind: "operator", principalId: "root", accountId: "", roles: ["operator"] };

let now = 0;
const refusals: string[] = [];
const throttle = (): Throttle => {
  now = 0;
  refusals.length = 0;
  return createThrottle({
    known: { perSecond: 10, burst: 20 },
    unknown: { perSecond: 1, burst: 1 },
    account: { perSecond: 50, burst: 100 },
    waitingCalls: 3,
    refused: (kind, bound) => refusals.push(`${kind} ${bound}`),
    now: () => now,
  });
};

const outcome = (call: () => unknown): string => {
  try {
    call();
    return "OK";
  } catch (error) {
    if (!(error instanceof PlenumError)) throw error;
    return `${error.reason} ${error.facts["bound"] ?? ""} ${error.facts["limit"] ?? ""}`;
  }
};
const timesOk = (count: number, call: (index: number) => unknown): number =>
  Array.from({ length: count }, (_, index) => outcome(() => call(index))).filter((one) => one === "OK").length;

// B9: what all principals of an account do together.

describe("an account", () => {
  it("has one bound, however many principals speak for it", () => {
    const door = throttle();
    const everybody = Array.from({ length: 20 }, (_, index) => of("acct-1", `p-${index}`));
    const ok = timesOk(400, (index) => door.admit(everybody[index % 20] ?? ANONYMOUS, "peer"));
    expect(ok).toBe(100);
    expect(outcome(() => door.admit(of("acct-1", "p-new"), "peer"))).toBe("RATE_LIMITED account 50");
    expect(outcome(() => door.admit(of("acct-2", "p-0"), "peer"))).toBe("OK");
    expect(refusals).toContain("account account");
    now += 1_000;
    expect(timesOk(400, (index) => door.admit(of("acct-1", `q-${index}`), "peer"))).toBe(50);
  });

  it("is not used up by one principal that calls too often", () => {
    const door = throttle();
    expect(timesOk(1_000, () => door.admit(of("acct-1", "loop"), "peer"))).toBe(20);
    expect(timesOk(4, (index) => door.admit(of("acct-1", `p-${index}`), "peer", 20))).toBe(4);
    expect(outcome(() => door.admit(of("acct-1", "p-9"), "peer"))).toBe("RATE_LIMITED account 50");
  });

  it("is charged for what a batch holds; one larger than all that there may be waits for a full bucket", () => {
    const door = throttle();
    expect(timesOk(3, () => door.admit(of("acct-1", "ann"), "peer", 40))).toBe(2);
    now += 400;
    expect(outcome(() => door.admit(of("acct-1", "ann"), "peer", 40))).toBe("OK");
    now += 2_000;
    expect(outcome(() => door.admit(of("acct-1", "ann"), "peer", 1_000))).toBe("OK");
    expect(outcome(() => door.admit(of("acct-1", "ann"), "peer"))).toBe("RATE_LIMITED account 50");
    expect(outcome(() => door.admit(operator, "peer", 1_000))).toBe("OK");
  });

  it("has so many calls waiting; a place that is given back is given once", () => {
    const door = throttle();
    const places = [0, 1, 2].map((index) => door.wait(of("acct-1", `p-${index}`)));
    expect(outcome(() => door.wait(of("acct-1", "p-9")))).toBe("TOO_MANY_WAITING  3");
    expect(refusals).toEqual(["account waiting"]);
    expect(outcome(() => door.wait(of("acct-2", "p")))).toBe("OK");
    expect(door.waiting()).toBe(4);
    places[0]?.();
    places[0]?.();
    expect(door.waiting()).toBe(3);
    expect(outcome(() => door.wait(of("acct-1", "p-9")))).toBe("OK");
    expect(outcome(() => door.wait(of("acct-1", "p-9")))).toBe("TOO_MANY_WAITING  3");
    expect(timesOk(10, () => door.wait(operator))).toBe(10);
  });
});

describe("a call's weight", () => {
  const ATTACH = "/plenum.nivc.v1.InterfaceService/AttachInterface";

  it("is what a batch holds, else one", () => {
    const specs = [{}, {}, {}];
    expect(itemsOf("/plenum.nivc.v1.InterfaceService/BatchCreateInterfaces", BatchCreateInterfacesRequest.fromPartial({ specs }))).toBe(3);
    expect(itemsOf("/plenum.nivc.v1.InterfaceService/BatchCreateInterfaces", BatchCreateInterfacesRequest.fromPartial({}))).toBe(1);
    expect(itemsOf("/x/Update", { specs })).toBe(1);
    expect(itemsOf("/x/BatchWatch", undefined)).toBe(1);
  });

  it.each([
    ["nothing said", {}, true],
    ["a second", { wait: WaitFor.REACHABLE, waitTimeout: { seconds: 1n, nanos: 0 } }, true],
    ["a nanosecond", { waitTimeout: { seconds: 0n, nanos: 1 } }, true],
    ["no time", { waitTimeout: { seconds: 0n, nanos: 0 } }, false],
    ["the commit alone", { wait: WaitFor.COMMITTED }, false],
  ])("of an attach with %s says whether it may wait", (_title, request, waits) => {
    expect(mayWait(ATTACH, AttachInterfaceRequest.fromPartial(request))).toBe(waits);
  });

  it("of others too", () => {
    const path = "/plenum.operation.v1.OperationService/WaitOperation";
    expect(mayWait(path, WaitOperationRequest.fromPartial({}))).toBe(true);
    expect(mayWait(path, WaitOperationRequest.fromPartial({ timeout: { seconds: 0n, nanos: 0 } }))).toBe(false);
    expect(mayWait("/x/Get", { timeout: undefined })).toBe(false);
    expect(mayWait("/x/Watch", undefined)).toBe(false);
  });
});
