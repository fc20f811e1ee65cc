import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { resolverText, writeResolverFile } from "./resolver-file.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "plenum-resolver-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

it("names the servers in their order, and is as long whatever they are", () => {
  const most = Array.from({ length: 60 }, (_, n) => `255.255.255.${n + 100}`);
  for (const servers of [[], ["10.0.0.3", "10.0.0.2"], most]) {
    expect([...resolverText(servers).matchAll(/^nameserver (.*)$/gm)].map((m) => m[1])).toEqual(servers);
    expect(resolverText(servers).length).toBe(2_048);
  }
  expect(() => resolverText([...most, ...most])).toThrow(RangeError);
});

it("is written in place, readable for everybody, and only if it differs", () => {
  const path = join(dir, "i-1.resolv.conf");
  const umask = process.umask(0o077);
  try {
    writeResolverFile(path, ["10.0.0.2"]);
  } finally {
    process.umask(umask);
  }
  const first = statSync(path);
  expect(first.mode & 0o777).toBe(0o644);
  utimesSync(path, 0, 0);
  writeResolverFile(path, ["10.0.0.2"]);
  expect(statSync(path).mtimeMs).toBe(0);
  writeResolverFile(path, []);
  expect(statSync(path).ino).toBe(first.ino);
  expect(readFileSync(path, "utf8")).toBe(resolverText([]));
});
