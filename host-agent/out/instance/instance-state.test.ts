import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InstanceState } from "./instance-state.ts";

describe("the state of instances", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "plenum-state-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const none = (instanceId: string): never => expect.fail(`${instanceId} is unreadable`);

  it("is read back by a successor, and forgotten whole", () => {
    const state = new InstanceState(join(dir, "instances"));
    const one = { instanceId: "i-1", namespace: "run-i-1", process: { pid: 7, startTime: "99", bootId: "b" } };
    state.save({ instanceId: "i-2", namespace: "run-i-2" });
    state.save({ ...one, ended: "exit code 3" });
    state.save(one);
    writeFileSync(state.logPath("i-1"), "printed");
    expect(new InstanceState(join(dir, "instances")).load(none).sort((a, b) => a.instanceId.localeCompare(b.instanceId))).toEqual([
      one,
      { instanceId: "i-2", namespace: "run-i-2" },
    ]);
    state.forget("i-1");
    state.forget("i-1");
    state.update(one);
    expect(readdirSync(join(dir, "instances"))).toEqual(["i-2.json"]);
    expect(statSync(join(dir, "instances")).mode & 0o777).toBe(0o700);
  });

  it("survives an interrupted write and a power failure", () => {
    const state = new InstanceState(dir);
    state.save({ instanceId: "i-1", namespace: "run-i-1" });
    writeFileSync(join(dir, "i-1.json.tmp"), '{"instanceId":');
    writeFileSync(join(dir, "i-2.json"), "");
    expect(state.load(none)).toEqual([{ instanceId: "i-1", namespace: "run-i-1" }]);
  });

  it.each(['{"instanceId":7}', '{"instanceId":'])("sets aside what it cannot understand (%s), and loads the others", (text) => {
    const state = new InstanceState(dir);
    state.save({ instanceId: "i-1", namespace: "run-i-1" });
    writeFileSync(join(dir, "i-3.json"), text);
    const told: [string, string][] = [];
    expect(state.load((id, error) => told.push([id, error.message]))).toEqual([{ instanceId: "i-1", namespace: "run-i-1" }]);
    expect(told).toEqual([["i-3", expect.stringMatching(/i-3\.json cannot be read/)]]);
    expect(readFileSync(join(dir, "i-3.json.unreadable"), "utf8")).toBe(text);
    expect(state.load(none)).toHaveLength(1);
    state.forget("i-3");
    expect(readdirSync(dir)).toEqual(["i-1.json"]);
  });
});
