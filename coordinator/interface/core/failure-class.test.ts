import { expect, test } from "vitest";
import { failureClass, failureSeenBy } from "./failure-class.ts";

const WORDS = [
  "write /sys/fs/bpf/plenum/endpoints: ENOSPC",
  "mount /run/plenum/netns/i-0199: Permission denied",
  "this host was not told where the API is (--api-endpoint): what acts as a principal has no way to it here",
  "eth0 of the instance (eni-attach-1) belongs to veth7: remove that first",
  "its process waits for eni-attach-2: open /proc/4711/ns/net: ENOENT",
  "i-1: processes 17, 18 do not end",
];

test("who may not look into a host learns of what kind its failure is, and an operator its words", () => {
  expect(WORDS.map(failureClass)).toEqual([
    "the host has no room for it: stop the instance and start it again elsewhere",
    "its kernel or a tool of it refused: ask an operator, who reads its words",
    "its host has no way to the API for what acts as a principal: an operator gives it one, or let the instance act as nobody",
    "something that was there before it still ends: wait a little",
    "its process waits for an interface of it that fails: see that attachment's conditions",
    "something that was there before it still ends: wait a little",
  ]);
  for (const words of WORDS) {
    expect(failureSeenBy({ kind: "account" }, words)).not.toMatch(/\/|\d/);
    expect(failureSeenBy({ kind: "operator" }, words)).toBe(words);
  }
});
