import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { silentLog } from "#lib/log/log.ts";
import { soleAgent } from "./sole-agent.ts";

const log = silentLog();
const { signal } = new AbortController();
let stateDir: string;

beforeEach(() => {
  stateDir = join(mkdtempSync(join(tmpdir(), "plenum-sole-")), "state");
});
afterEach(() => rmSync(join(stateDir, ".."), { recursive: true }));

it("refuses a second agent, and says which process is the first", async () => {
  const unlock = await soleAgent({ stateDir, log, signal });
  await expect(soleAgent({ stateDir, log, signal, patienceMs: 100 })).rejects.toThrow(`process ${process.pid}`);
  unlock();
  (await soleAgent({ stateDir, log, signal, patienceMs: 0 }))();
});

it("waits for one that ends", async () => {
  const unlock = await soleAgent({ stateDir, log, signal });
  const second = soleAgent({ stateDir, log, signal });
  unlock();
  (await second)();
});

it("is let go of by kill -9, and not held by children", async () => {
  const module = JSON.stringify(join(import.meta.dirname, "../../lib/linux/index.ts"));
  const script = `const { tryLockFile } = await import(${module});
    tryLockFile(process.argv[1]);
    const child = (await import("node:child_process")).spawn("sleep", ["60"], { stdio: "ignore", detached: true });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  (await soleAgent({ stateDir, log, signal }))();
  const argv = ["--input-type=module", "-e", script, join(stateDir, "agent.lock")];
  const holder = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(holder, "exit");
  const [said] = (await once(holder.stdout, "data")) as [Buffer];
  try {
    await expect(soleAgent({ stateDir, log, signal, patienceMs: 0 })).rejects.toThrow(`process ${holder.pid}`);
    holder.kill("SIGKILL");
    await gone;
    (await soleAgent({ stateDir, log, signal, patienceMs: 0 }))();
  } finally {
    holder.kill("SIGKILL");
    process.kill(Number(said.toString()), "SIGKILL");
  }
});
