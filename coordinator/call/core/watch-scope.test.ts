import { describe, expect, it } from "vitest";
import { tellWatchers, watchedIds, watchScope } from "./watch-scope.ts";

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
      ["watch:acct-b", ["eni-1", "eni-2"]],
      ["watch:acct-a", ["eni-1"]],
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
    const scopes = [watchScope("acct-a"), "network:1", "host:host-1"];
    expect(scopes.toSorted()).toEqual(["host:host-1", "network:1", watchScope("acct-a")]);
  });
});
