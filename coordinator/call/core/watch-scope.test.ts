import { describe, expect, it } from "vitest";
import { tellWatchers, watchedIds, watchScopes } from "./watch-scope.ts";

describe("what watchers are told", () => {
  it("is one change for each account, with each id once", () => {
    const changes: [string, Uint8Array][] = [];
    tellWatchers({ change: (scope, payload) => void changes.push([scope, payload]) }, [
      { accountId: "acct-b", resourceId: "eni-1" },
      { accountId: "acct-a", resourceId: "eni-1" },
      { accountId: "acct-b", resourceId: "eni-2" },
      { accountId: "acct-b", resourceId: "eni-1" },
    ]);
    expect(changes.map(([scope, payload]) => [scope, watchedIds(payload)])).toEqual([
      ["watch:acct-b/1", ["eni-1", "eni-2"]],
      ["watch:acct-a/1", ["eni-1"]],
    ]);
  });

  it("joins by joining its bytes, as the log joins payloads of one transaction", () => {
    const payloads: Uint8Array[] = [];
    const call = { change: (_scope: string, payload: Uint8Array) => void payloads.push(payload) };
    tellWatchers(call, [{ accountId: "acct-a", resourceId: "eni-1" }]);
    tellWatchers(call, [{ accountId: "acct-a", resourceId: "eni-2" }]);
    expect(watchedIds(Buffer.concat(payloads))).toEqual(["eni-1", "eni-2"]);
  });

  it("is locked after hosts and networks", () => {
    const own = watchScopes("acct-a");
    expect([...own, "network:1", "host:host-1"].toSorted()).toEqual(["host:host-1", "network:1", ...own.toSorted()]);
  });

  it("goes into one of the scopes that watchers follow, whatever the id ends with", () => {
    const told = new Set<string>();
    for (const end of "0123456789abcdefz")
      tellWatchers({ change: (scope) => void told.add(scope) }, [{ accountId: "acct-a", resourceId: `eni-${end}` }]);
    expect([...told].sort()).toEqual(watchScopes("acct-a").toSorted());
  });
});
