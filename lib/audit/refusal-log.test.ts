import { describe, expect, it, vi } from "vitest";
import { silentLog } from "../log/log.ts";
import { ANONYMOUS } from "../rpc/caller.ts";
import type { Caller } from "../rpc/caller.ts";
import { startRefusalLog } from "./refusal-log.ts";
import { RefusalTally } from "./refusal-tally.ts";
import type { Refusal, RefusalRow } from "./refusal-tally.ts";

const MINUTE = 60_000;
const ann: Caller = { kind: "account", principalId: "ann", accountId: "acct-1", roles: ["owner"] };
const refusal = (peer: string, more: Partial<Refusal> = {}): Refusal => ({
  caller: ANONYMOUS,
  peer,
  action: "nivc:AttachInterface",
  method: "/x/Y",
  reason: "NO_VALID_TOKEN",
  ...more,
});

describe("the tally", () => {
  it("makes one row of what is alike within a minute, whatever the port", () => {
    const tally = new RefusalTally(10);
    for (const [peer, more] of [
      ["192.0.2.1:1", {}],
      ["192.0.2.1:2", { action: "compute:RunInstance" }],
      ["192.0.2.1:3", { reason: "RATE_LIMITED" }],
      ["192.0.2.1:4", { caller: ann }],
      ["192.0.2.2:1", {}],
    ] as const) {
      expect(tally.note(refusal(peer, more), 0)).toBe(true);
    }
    expect(tally.take().map((row) => [row.peer, row.principalId, row.accountId, row.reason, row.count, row.action])).toEqual([
      ["192.0.2.1", "", "", "NO_VALID_TOKEN", 2, "nivc:AttachInterface"],
      ["192.0.2.1", "", "", "RATE_LIMITED", 1, "nivc:AttachInterface"],
      ["192.0.2.1", "ann", "acct-1", "NO_VALID_TOKEN", 1, "nivc:AttachInterface"],
      ["192.0.2.2", "", "", "NO_VALID_TOKEN", 1, "nivc:AttachInterface"],
    ]);
    expect(tally.take()).toEqual([]);
  });

  it("tells apart the instances that act as one principal, by their hosts", () => {
    const tally = new RefusalTally(10);
    const by = (instanceId: string, hostId: string) => ({ caller: { ...ann, via: { instanceId, hostId, generation: 1n } } });
    for (const more of [by("i-1", "host-1"), by("i-1", "host-1"), by("i-2", "host-1"), { caller: ann }]) tally.note(refusal("a", more), 0);
    expect(tally.take().map((row) => [row.principalId, row.viaInstanceId, row.viaHostId, row.count])).toEqual([
      ["ann", "i-1", "host-1", 2],
      ["ann", "i-2", "host-1", 1],
      ["ann", "", "", 1],
    ]);
  });

  it("gives a row again with its whole count, under the same id, and a new one in the next minute", () => {
    const tally = new RefusalTally(10);
    tally.note(refusal("a"), 0);
    const [first] = tally.take();
    tally.note(refusal("a"), MINUTE - 1);
    expect(tally.take()).toEqual([{ ...first, count: 2 }]);
    tally.note(refusal("a"), MINUTE);
    const [next] = tally.take();
    expect(next?.count).toBe(1);
    expect(next?.entryId).not.toBe(first?.entryId);
  });

  it("has room for so many a minute; those that are known go on counting", () => {
    const tally = new RefusalTally(2);
    expect(["a", "b", "c", "a"].map((peer) => tally.note(refusal(peer), 0))).toEqual([true, true, false, true]);
    expect(tally.take().map((row) => row.count)).toEqual([2, 1]);
    expect(tally.note(refusal("c"), MINUTE)).toBe(true);
  });

  it("keeps what could not be written, up to as many as a minute has, and says what that loses", () => {
    const tally = new RefusalTally(2);
    const fail = (): number => tally.failed(tally.take());
    tally.note(refusal("a"), 0);
    expect(fail()).toBe(0);
    tally.note(refusal("b"), MINUTE);
    expect(fail()).toBe(0);
    tally.note(refusal("c"), 2 * MINUTE);
    const rows = tally.take();
    expect(rows.map((row) => row.peer)).toEqual(["a", "b", "c"]);
    tally.note(refusal("d"), 3 * MINUTE);
    expect(tally.failed(rows)).toBe(1);
    expect(tally.take().map((row) => row.peer)).toEqual(["a", "b", "d"]);
  });
});

describe("the log", () => {
  it("writes in the background, again what failed, and at its stop what is left", async () => {
    const written: (readonly RefusalRow[])[] = [];
    let away = true;
    const write = (rows: readonly RefusalRow[]): Promise<void> => {
      if (away) return Promise.reject(new Error("away"));
      written.push(rows);
      return Promise.resolve();
    };
    const dropped = vi.fn();
    const log = startRefusalLog({ write, dropped, log: silentLog(), everyMs: 5, mostAMinute: 2 });
    for (const peer of ["a", "b", "c", "c"]) log.note(refusal(peer));
    expect(dropped.mock.calls).toEqual([[1], [1]]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(written).toEqual([]);
    away = false;
    await vi.waitFor(() => expect(written.flat().map((row) => row.peer)).toEqual(["a", "b"]));
    log.note(refusal("a"));
    await log.stop();
    expect(written.flat().at(-1)).toMatchObject({ peer: "a", count: 2 });
  });

  const bad = (peer: string): Error => Object.assign(new Error(`no ${peer}`), { code: "22P05" });

  it("writes the others where a row can never be written, which is dropped and counted", async () => {
    const written: string[] = [];
    const tries: string[][] = [];
    const write = (rows: readonly RefusalRow[]): Promise<void> => {
      tries.push(rows.map((row) => row.peer));
      if (rows.some((row) => row.peer === "b")) return Promise.reject(bad("b"));
      written.push(...rows.map((row) => row.peer));
      return Promise.resolve();
    };
    const dropped = vi.fn();
    const log = startRefusalLog({ write, dropped, log: silentLog(), everyMs: 60_000 });
    for (const peer of ["a", "b", "b", "c"]) log.note(refusal(peer));
    await log.stop();
    expect(written).toEqual(["a", "c"]);
    expect(dropped.mock.calls).toEqual([[2]]);
    await log.stop();
    expect(tries).toEqual([["a", "b", "c"], ["a"], ["b"], ["c"]]); // it is not tried again
  });

  it("keeps all when the database goes away between the rows", async () => {
    let fails: (rows: readonly RefusalRow[]) => Error | undefined = (rows) => {
      if (rows.some((row) => row.peer === "b")) return bad("b");
      return rows[0]?.peer === "c" ? Object.assign(new Error("away"), { code: "57P01" }) : undefined;
    };
    const written: string[] = [];
    const write = (rows: readonly RefusalRow[]): Promise<void> => {
      const failure = fails(rows);
      if (failure !== undefined) return Promise.reject(failure);
      written.push(...rows.map((row) => row.peer));
      return Promise.resolve();
    };
    const dropped = vi.fn();
    const log = startRefusalLog({ write, dropped, log: silentLog(), everyMs: 60_000 });
    for (const peer of ["a", "b", "c", "d"]) log.note(refusal(peer));
    await log.stop();
    expect(written).toEqual(["a"]);
    fails = () => undefined;
    await log.stop();
    expect(written).toEqual(["a", "c", "d"]);
    expect(dropped.mock.calls).toEqual([[1]]);
  });

  it("drops nothing for a fault that is not the row's", async () => {
    let state = "42501"; // no right to it: whoever mends that has the rows
    const written: string[] = [];
    const write = (rows: readonly RefusalRow[]): Promise<void> => {
      if (state !== "") return Promise.reject(Object.assign(new Error("no"), { code: state }));
      written.push(...rows.map((row) => row.peer));
      return Promise.resolve();
    };
    const dropped = vi.fn();
    const log = startRefusalLog({ write, dropped, log: silentLog(), everyMs: 60_000 });
    for (const peer of ["a", "b"]) log.note(refusal(peer));
    await log.stop();
    state = "";
    await log.stop();
    expect(written).toEqual(["a", "b"]);
    expect(dropped).not.toHaveBeenCalled();
  });
});
