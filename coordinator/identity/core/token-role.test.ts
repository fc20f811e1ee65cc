import { expect, test } from "vitest";
import { lifetime, mayIssue } from "./token-role.ts";

test("a role never rises, and who has none gives none", () => {
  expect([mayIssue("owner", "viewer"), mayIssue("owner", "owner"), mayIssue("owner", "operator")]).toEqual([true, true, false]);
  expect(mayIssue(undefined, "viewer")).toBe(false);
});

test("what a viewer gives ends with its own token; of one that shows no end it gives nothing", () => {
  const now = new Date(1_000_000);
  const until = new Date(1_000_000 + 90_500);
  expect(lifetime(3_600, { role: "owner", until }, now)).toBe(3_600);
  expect(lifetime(3_600, { role: "viewer", until }, now)).toBe(90);
  expect(lifetime(60, { role: "viewer", until }, now)).toBe(60);
  expect(lifetime(60, { role: "viewer", until: new Date(0) }, now)).toBe(0);
  expect(lifetime(60, { role: "viewer", until: undefined }, now)).toBe(0);
});
