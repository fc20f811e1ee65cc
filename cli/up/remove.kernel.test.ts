import { spawn } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createNamedNamespace, isMountPoint, mountBpffs, namespaceExists, namespacePath } from "#lib/linux/index.ts";
import { layout } from "./layout.ts";
import { identify, isAlive, processesInNamespaces } from "./processes.ts";
import { isRunning, newRunName, register, registeredRuns } from "./registry.ts";
import type { RunRecord } from "./registry.ts";
import { removeDeadRuns, removeRun } from "./remove.ts";
import { makeSubstrate } from "./substrate.ts";
import { Supervised } from "./supervised.ts";

const records: RunRecord[] = [];
afterEach(async () => {
  for (const record of records.splice(0)) await removeRun(record);
});

function newRun(): RunRecord {
  const record = register({ run: newRunName(), dataDir: mkdtempSync(join(tmpdir(), "plenum-run-")), temporary: true });
  records.push(record);
  return record;
}

const ping = (namespace: string, address: string) =>
  new Promise<number | null>((resolve) => {
    const child = spawn("nsenter", [`--net=${namespacePath(namespace)}`, "ping", "-c1", "-W1", "-q", address], { stdio: "ignore" });
    child.on("exit", resolve);
  });

describe("a run", () => {
  it("joins hosts and control plane by its substrate, and two runs not at all", async () => {
    const [one, other] = [newRun(), newRun()];
    const plan = layout(one.run, one.dataDir, 2);
    makeSubstrate(plan, 1500);
    makeSubstrate(layout(other.run, other.dataDir, 1), 1500);
    const [h1, h2] = plan.hosts;
    expect(await ping(h1!.namespace, h2!.address)).toBe(0);
    expect(await ping(h1!.namespace, "198.18.0.1")).toBe(0);
    expect(await ping(`${other.run}-h1`, h2!.address)).not.toBe(0); // the same addresses, another substrate: no such host there
  });

  it("leaves nothing: processes that ignore TERM, namespaces, mounts, data", async () => {
    const record = newRun();
    const namespace = `${record.run}-guest`;
    createNamedNamespace(namespace);
    mountBpffs(join(record.dataDir, "hosts", "h1", "bpf"));
    const script = "trap '' TERM; echo on; while :; do sleep 1; done";
    const child = spawn("nsenter", [`--net=${namespacePath(namespace)}`, "bash", "-c", script], {
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const stubborn = identify(child.pid!)!;
    expect(processesInNamespaces([namespace])).toContainEqual(stubborn);

    await removeRun(record);
    expect(isAlive(stubborn)).toBe(false);
    expect(namespaceExists(namespace)).toBe(false);
    expect(isMountPoint(join(record.dataDir, "hosts", "h1", "bpf"))).toBe(false);
    expect(existsSync(record.dataDir)).toBe(false);
    expect(registeredRuns().map(({ run }) => run)).not.toContain(record.run);
  });

  it("is removed by the next one if its launcher was killed, and left alone while it lives", async () => {
    const living = newRun();
    const dataDir = mkdtempSync(join(tmpdir(), "plenum-run-"));
    const script = `
      import { createNamedNamespace } from "#lib/linux/index.ts";
      import { newRunName, register } from "${new URL("./registry.ts", import.meta.url).href}";
      const { run } = register({ run: newRunName(), dataDir: ${JSON.stringify(dataDir)}, temporary: true });
      createNamedNamespace(run + "-cp");
      process.stdout.write(run);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const run = String(await new Promise((resolve) => child.stdout.once("data", resolve)));
    const record = registeredRuns().find((one) => one.run === run)!;
    expect(isRunning(record)).toBe(true);
    expect(await removeDeadRuns()).not.toContain(run);

    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    expect(await removeDeadRuns()).toContain(run);
    expect(namespaceExists(`${run}-cp`)).toBe(false);
    expect(registeredRuns().map((one) => one.run)).toContain(living.run);
  });

  it("starts a child that died again, in its namespace, and not one that was stopped", async () => {
    const record = newRun();
    const namespace = `${record.run}-cp`;
    createNamedNamespace(namespace);
    const told: string[] = [];
    const child = new Supervised({
      name: "child",
      namespace,
      script: () => ["-e", "process.send('ready'); setInterval(() => {}, 1000)"],
      logFile: join(record.dataDir, "log"),
      tell: (line) => void told.push(line),
      saysReady: true,
      stopMs: 2_000,
    });
    child.start();
    await child.started();
    const first = child.pid!;
    expect(processesInNamespaces([namespace]).map(({ pid }) => pid)).toContain(first);
    process.kill(first, "SIGKILL");
    await expect.poll(() => child.pid !== undefined && child.pid !== first, { timeout: 5_000 }).toBe(true);
    expect(told.join()).toMatch(/child ended \(SIGKILL\)/);
    await child.ready;
    await child.kill("SIGKILL"); // asked for: no news, but started again all the same
    await child.ready;
    expect(told.length).toBe(1);
    await child.stop();
    expect(processesInNamespaces([namespace])).toEqual([]);
  });
});
