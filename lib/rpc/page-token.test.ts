import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caller } from "./caller.ts";
import { PlenumError } from "./errors.ts";
import { createPageTokens, pageOf } from "./page-token.ts";
import type { PageScope } from "./page-token.ts";

const caller = (accountId: string): Caller => ({ kind: "account", principalId: "ann", accountId, roles: ["owner"] });
const scope: PageScope = { caller: caller("acct-1"), method: "/x/List", filter: { vpcId: "vpc-1", size: 3n, tags: ["a"] } };
const tokens = createPageTokens(Buffer.alloc(32, 7));

const refused = (open: () => unknown): string => {
  try {
    open();
  } catch (error) {
    if (error instanceof PlenumError) return error.reason;
    throw error;
  }
  return "accepted";
};

describe("page tokens", () => {
  it("bring back any cursor as it was, to the same question in any order of its fields", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (cursor) => {
        const token = tokens.seal(cursor, scope);
        expect(token).toMatch(/^[\w-]+$/);
        expect(tokens.open(token, { ...scope, filter: { tags: ["a"], size: 3n, vpcId: "vpc-1" } })).toEqual(cursor);
      }),
    );
  });

  it("say nothing of the cursor, which may hold what is not the caller's to see, and are the same each time", () => {
    const cursor = ["2026-01-01T00:00:00.000Z", "acct-of-somebody-else", "1f:2.20:3"];
    const token = tokens.seal(cursor, scope);
    expect(tokens.seal(cursor, scope)).toBe(token);
    const bytes = Buffer.from(token, "base64url");
    for (const part of cursor) expect(bytes.includes(part)).toBe(false);
    expect(tokens.seal(cursor, { ...scope, method: "/x/Other" })).not.toBe(token);
  });

  it("are empty at the end, and empty is the beginning", () => {
    expect(tokens.seal([], scope)).toBe("");
    expect(tokens.open("", scope)).toBeUndefined();
  });

  it("are worth nothing to another caller, method, filter or key, and nothing when touched", () => {
    const token = tokens.seal(["k"], scope);
    const others: PageScope[] = [
      { ...scope, caller: caller("acct-2") },
      { ...scope, caller: { ...scope.caller, principalId: "bob" } },
      { ...scope, method: "/x/Other" },
      { ...scope, filter: { ...scope.filter, vpcId: "vpc-2" } },
    ];
    for (const other of others) expect(refused(() => tokens.open(token, other))).toBe("BAD_PAGE_TOKEN");
    expect(refused(() => createPageTokens(Buffer.alloc(32, 8)).open(token, scope))).toBe("BAD_PAGE_TOKEN");
    const bytes = Buffer.from(token, "base64url");
    for (const at of bytes.keys()) {
      const touched = Buffer.from(bytes);
      touched[at] = (touched[at] ?? 0) ^ 1;
      expect(refused(() => tokens.open(touched.toString("base64url"), scope))).toBe("BAD_PAGE_TOKEN");
    }
    for (const garbage of ["x", "%%%", "A".repeat(500)]) expect(refused(() => tokens.open(garbage, scope))).toBe("BAD_PAGE_TOKEN");
  });

  it("cut pages that together are the list", () => {
    const all = Array.from({ length: 10 }, (_, index) => `row${index}`);
    const seen: string[] = [];
    for (let token: string | undefined = undefined as string | undefined, pages = 0; ; pages += 1) {
      const after = tokens.open(token ?? "", scope)?.[0];
      const rows = all.filter((row) => after === undefined || row > after).slice(0, 5);
      const page = pageOf(
        rows,
        4,
        (row) => [row],
        (cursor) => tokens.seal(cursor, scope),
      );
      seen.push(...page.items);
      if (page.nextPageToken === "") {
        expect(pages).toBe(2);
        break;
      }
      token = page.nextPageToken;
    }
    expect(seen).toEqual(all);
  });
});
