import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { mount } from "#lib/linux/libc.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { instanceExample } from "../../testing/instance-driver.contract.ts";
import { LOG_LIMIT_BYTES } from "./instance-log.ts";
import { NetnsInstanceDriver } from "./netns-driver.ts";

/** The state directory on a file system of its own, which the instances' output fills. */

const prefix = `plf${process.pid}`;
let dir: string;
let driver: NetnsInstanceDriver;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "plenum-full-"));
  willLeave({ kind: "namespaces", prefix }, { kind: "directory", dir }, { kind: "mount", dir });
  mount("mount a small file system", "plenum", dir, "tmpfs", 0, "size=3m");
  driver = open();
});
afterEach(async () => {
  rmSync(join(dir, "filler"), { force: true });
  for (const { instanceId } of driver.list()) await driver.remove(instanceId);
  linux.unmount(dir);
  rmSync(dir, { recursive: true });
});

const open = (onExit?: () => void): NetnsInstanceDriver =>
  new NetnsInstanceDriver({ prefix, stateDir: join(dir, "state"), termMilliseconds: 2_000, onExit });

/** Until nothing fits any more. */
function fill(): void {
  expect(() => writeFileSync(join(dir, "filler"), Buffer.alloc(4 * LOG_LIMIT_BYTES))).toThrow("ENOSPC");
}

function start(of = driver): number {
  const spec = instanceExample({ instanceId: "i-full", argv: ["sleep", "1000"] });
  of.create(spec);
  const { process } = of.start(spec);
  if (process.state !== "running") throw new Error(process.state);
  return process.pid;
}

test("a process that ends while nothing can be written is told to have ended, by this agent and the next", async () => {
  const exited = vi.fn();
  driver = open(exited);
  const pid = start();
  fill();
  process.kill(pid, "SIGKILL");
  await vi.waitUntil(() => exited.mock.calls.length > 0);
  expect(driver.list()).toMatchObject([{ instanceId: "i-full", process: { state: "exited", detail: "signal SIGKILL" } }]);
  for (const again of [open(), open()]) expect(again.list()).toMatchObject([{ process: { state: "exited" } }]);
});

test("a log that filled the disk is cut, though its end finds no place", () => {
  start();
  const log = join(dir, "state", "i-full.log");
  writeFileSync(log, Buffer.alloc(LOG_LIMIT_BYTES + 1, "x"));
  fill();
  expect(driver.list()).toMatchObject([{ process: { state: "running" } }]);
  expect(statSync(log).size).toBe(0);
});
