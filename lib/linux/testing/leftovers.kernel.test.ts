import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import * as linux from "../index.ts";

it("what a killed test has left is undone: processes, namespaces, mounts, directories", async () => {
  const prefix = `plt${process.pid}left`;
  const dir = mkdtempSync(join(tmpdir(), "plenum-left-"));
  const script = `
    import { spawn } from "node:child_process";
    const linux = await import(${JSON.stringify(new URL("../index.ts", import.meta.url).href)});
    const { willLeave } = await import(${JSON.stringify(new URL("./leftovers.ts", import.meta.url).href)});
    willLeave(...${JSON.stringify([
      { kind: "namespaces", prefix },
      { kind: "directory", dir },
      { kind: "mount", dir: join(dir, "bpf") },
    ])});
    linux.mountBpffs(${JSON.stringify(join(dir, "bpf"))});
    const path = linux.createNamedNamespace(${JSON.stringify(prefix)});
    const inside = spawn("nsenter", ["--net=" + path, "sleep", "1000"], { detached: true, stdio: "ignore" });
    console.log(inside.pid);
    setInterval(() => {}, 1000);`;
  const test = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(test.stdout, "data")) as [Buffer];
  const inside = `/proc/${Number(line.toString())}/exe`;
  expect([linux.namespaceExists(prefix), linux.isBpffs(join(dir, "bpf")), existsSync(inside)]).toEqual([true, true, true]);
  test.kill("SIGKILL");
  await vi.waitUntil(() => !existsSync(dir) && !linux.namespaceExists(prefix) && !existsSync(inside), { timeout: 10_000 });
});
