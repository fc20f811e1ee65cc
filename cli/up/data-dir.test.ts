import { mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
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
