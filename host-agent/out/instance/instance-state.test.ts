import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
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

  it("is read back by a successor, and forgotten whole", () => {
    const state = new InstanceState(join(dir, "instances"));
    const one = { instanceId: "i-1", namespace: "run-i-1", process: { pid: 7, startTime: "99", bootId: "b" } };
    state.save({ instanceId: "i-2", namespace: "run-i-2" });
    state.save({ ...one, ended: "exit code 3" });
    state.save(one);
    writeFileSync(state.logPath("i-1"), "printed");
    expect(new InstanceState(join(dir, "instances")).load().sort((a, b) => a.instanceId.localeCompare(b.instanceId))).toEqual([
      one,
      { instanceId: "i-2", namespace: "run-i-2" },
    ]);
    state.forget("i-1");
    state.forget("i-1");
    state.update(one);
    expect(readdirSync(join(dir, "instances"))).toEqual(["i-2.json"]);
    expect(statSync(join(dir, "instances")).mode & 0o777).toBe(0o700);
  });

  it("survives an interrupted write and a power failure, and refuses to guess", () => {
    const state = new InstanceState(dir);
    state.save({ instanceId: "i-1", namespace: "run-i-1" });
    writeFileSync(join(dir, "i-1.json.tmp"), '{"instanceId":');
    writeFileSync(join(dir, "i-2.json"), "");
    expect(state.load()).toEqual([{ instanceId: "i-1", namespace: "run-i-1" }]);
    writeFileSync(join(dir, "i-3.json"), '{"instanceId":7}');
    expect(() => state.load()).toThrow(/i-3\.json cannot be read/);
  });
});
