import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { boundLog, LOG_LIMIT_BYTES } from "./instance-log.ts";

let dir: string;
let log: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "plenum-log-"));
  log = join(dir, "i-1.log");
});
afterEach(() => rmSync(dir, { recursive: true }));

it("leaves a log alone that is absent or within its limit", () => {
  boundLog(log);
  writeFileSync(log, "x".repeat(LOG_LIMIT_BYTES));
  boundLog(log);
  expect(statSync(log).size).toBe(LOG_LIMIT_BYTES);
  expect(existsSync(`${log}.1`)).toBe(false);
});

it("keeps the end of a long one", () => {
  writeFileSync(log, `${"a".repeat(LOG_LIMIT_BYTES)}the end`);
  boundLog(log);
  expect(statSync(log).size).toBe(0);
  const kept = readFileSync(`${log}.1`, "utf8");
  expect(kept.length).toBe(LOG_LIMIT_BYTES);
  expect(kept.endsWith("aathe end")).toBe(true);
});

it("copies no more than that of one that was stretched", () => {
  writeFileSync(log, "");
  truncateSync(log, 40 * LOG_LIMIT_BYTES);
  boundLog(log);
  expect([statSync(log).size, statSync(`${log}.1`).size]).toEqual([0, LOG_LIMIT_BYTES]);
});
