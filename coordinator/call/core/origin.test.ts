import { expect, it } from "vitest";
import { detailsOf } from "./origin.ts";

it("keeps of a request what changes what it does, and nothing that the audit could not hold", () => {
  expect(detailsOf({ force: true, hostId: "host-1", updateMask: ["name", "tags"], name: "secret" })).toEqual({
    force: "true",
    host_id: "host-1",
    update_mask: "name,tags",
  });
  expect(detailsOf({ force: false, hostId: "", updateMask: [] })).toEqual({});
  expect(detailsOf(undefined)).toEqual({});
  // A NUL, and a pair of which only one half has room: the database takes neither in JSON.
  expect(detailsOf({ hostId: "a\0b" })).toEqual({ host_id: "ab" });
  expect(detailsOf({ hostId: `${"x".repeat(255)}😀` })).toEqual({ host_id: `${"x".repeat(255)}\uFFFD` });
});
