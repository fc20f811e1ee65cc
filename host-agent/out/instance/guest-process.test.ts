import { describe, expect, it } from "vitest";
import { findLaunchers, instanceUid, startGuestProcess } from "./guest-process.ts";
import { describeWaitStatus, identify, stateOf } from "./process-identity.ts";

describe("an instance's user", () => {
  it("is stable, above what systems assign and below 2^31", () => {
    const uids = Array.from({ length: 500 }, (_, i) => instanceUid(`i-${i}`));
    expect(instanceUid("i-7")).toBe(uids[7]);
    expect(Math.min(...uids)).toBeGreaterThanOrEqual(0x70000000);
    expect(Math.max(...uids)).toBeLessThan(2 ** 31 - 1);
    expect(new Set(uids).size).toBe(500);
  });
});

describe("a process", () => {
  it("is itself, and not one that started at another time or boot", () => {
    const me = identify(process.pid)!;
    expect(stateOf(me)).toEqual({ state: "running" });
    expect(stateOf({ ...me, startTime: "1" }).state).toBe("ended");
    expect(stateOf({ ...me, bootId: "another" }).state).toBe("ended");
  });

  it.each([
    [0, "exit code 0"],
    [3 << 8, "exit code 3"],
    [9, "signal SIGKILL"],
    [0x80 | 11, "signal SIGSEGV"],
  ])("with wait status %i ended with %s", (status, words) => expect(describeWaitStatus(status)).toBe(words));
});

it("says which program is missing and whose it is", () => {
  expect(() => findLaunchers("/nonexistent")).toThrow(/nsenter.*util-linux/);
});

it("refuses a program that would be taken for a variable", () => {
  const paths = { namespacePath: "/nonexistent", logPath: "/nonexistent/log", mounts: [] };
  const guest = { instanceId: "i-one", argv: ["LD_PRELOAD=x.so"], env: {}, ...paths };
  expect(() => startGuestProcess(findLaunchers(), guest)).toThrow(RangeError);
});
