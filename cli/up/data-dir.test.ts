import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CliError } from "../cli-error.ts";
import { openDataDir } from "./data-dir.ts";
import { RUN_NAME } from "./layout.ts";

const dir = mkdtempSync(join(tmpdir(), "plenum-data-"));
afterAll(() => rmSync(dir, { recursive: true }));

it("is one process's at a time, and keeps the name of its run", () => {
  const path = join(dir, "a");
  const first = openDataDir(path);
  expect(first.run).toMatch(RUN_NAME);
  expect(() => openDataDir(path)).toThrow(CliError);
  first.release();
  const second = openDataDir(path, "plzzzzzz");
  expect(second.run).toBe(first.run);
  second.release();
});

it("knows where a symbolic link leads: mounts are listed there", () => {
  symlinkSync(dir, join(dir, "link"));
  const opened = openDataDir(join(dir, "link", "b"));
  expect(opened.path).toBe(join(realpathSync(dir), "b"));
  opened.release();
});

it("refuses a path that sockets do not fit under", () => {
  expect(() => openDataDir(join(dir, "x".repeat(80)))).toThrow(CliError);
});

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

it("opens to other accounts what it makes, and what was made for it", () => {
  const old = process.umask(0o077);
  try {
    openDataDir(join(dir, "fresh")).release();
  } finally {
    process.umask(old);
  }
  const given = mkdtempSync(join(dir, "given-"));
  openDataDir(given).release();
  openDataDir(given).release();
  expect([modeOf(join(dir, "fresh")), modeOf(given)]).toEqual([0o755, 0o755]);
});

it("leaves the mode of a directory that has other things in it", () => {
  const used = join(dir, "used");
  mkdirSync(used);
  writeFileSync(join(used, "theirs"), "");
  chmodSync(used, 0o771);
  openDataDir(used).release();
  expect(modeOf(used)).toBe(0o771);
  chmodSync(used, 0o770);
  expect(() => openDataDir(used)).toThrow(/closed to other accounts/);
  expect(modeOf(used)).toBe(0o770);
});

it("takes no directory that is everybody's", () => {
  const shared = join(dir, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  expect(() => openDataDir(shared)).toThrow(/everybody's files/);
  expect(modeOf(shared)).toBe(0o1777);
});
