import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import type { InstanceStatus } from "../../core/ports.ts";
import { instanceDriverContract, instanceExample } from "../../testing/instance-driver.contract.ts";
import { instanceUid } from "./guest-process.ts";
import { FILE_LIMIT_BYTES, LOG_LIMIT_BYTES } from "./instance-log.ts";
import { NetnsInstanceDriver, type NetnsDriverOptions } from "./netns-driver.ts";
import { RESOLVER_FILE } from "./resolver-file.ts";
import { identify, processesOf, stateOf } from "./process-identity.ts";

interface Bench {
  prefix: string;
  stateDir: string;
  open(options?: Partial<NetnsDriverOptions>): NetnsInstanceDriver;
  dispose(): Promise<void>;
}

let benches = 0;

function bench(): Bench {
  const prefix = `plt${process.pid}x${++benches}x`;
  const stateDir = mkdtempSync(join(tmpdir(), "plenum-instances-"));
  willLeave({ kind: "namespaces", prefix }, { kind: "directory", dir: stateDir });
  const open: Bench["open"] = (options) => new NetnsInstanceDriver({ prefix, stateDir, termMilliseconds: 2000, ...options });
  return {
    prefix,
    stateDir,
    open,
    dispose: async () => {
      const driver = open();
      for (const { instanceId } of driver.list()) await driver.remove(instanceId);
      rmSync(stateDir, { recursive: true });
    },
  };
}

function alive(pid: number): boolean {
  const identity = identify(pid);
  return identity !== undefined && stateOf(identity).state === "running";
}

function pidOf(status: InstanceStatus | undefined): number {
  if (status?.process.state !== "running") throw new Error(`not running: ${JSON.stringify(status)}`);
  return status.process.pid;
}

instanceDriverContract("NetnsInstanceDriver", () => {
  const { open, dispose } = bench();
  const driver = open();
  return {
    driver,
    reopen: () => open(),
    namespaceExists: (path) => existsSync(path),
    processAlive: alive,
    end: async (instanceId) => {
      const pid = pidOf(driver.list().find((status) => status.instanceId === instanceId));
      // The shell must have set its trap, or the signal would simply kill it.
      await vi.waitUntil(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("sh\0") && catchesUsr1(pid));
      process.kill(pid, "SIGUSR1");
      await vi.waitUntil(() => !alive(pid));
    },
    deleteNamespace: (instanceId) => linux.deleteNamedNamespace(driver.netnsPath(instanceId).slice(linux.NETNS_DIR.length + 1)),
    dispose,
  };
});

function attempt<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch {
    return undefined;
  }
}

/** Whether a process handles SIGUSR1 (number 10) itself. */
function catchesUsr1(pid: number): boolean {
  const mask = /^SigCgt:\s+(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) & (1n << 9n)) !== 0n;
}

describe("a process in a namespace", () => {
  let host: Bench;
  beforeEach(() => {
    host = bench();
  });
  afterEach(() => host.dispose());

  const outputOf = (...argv: string[]) => outputWith({}, ...argv);

  async function outputWith(
    env: Record<string, string>,
    ...argv: string[]
  ): Promise<{ output: string; process: InstanceStatus["process"] }> {
    const exited = Promise.withResolvers<InstanceStatus>();
    const driver = host.open({ onExit: exited.resolve });
    const spec = instanceExample({ argv, env: { COLOUR: "blue", ...env } });
    driver.create(spec);
    driver.start(spec);
    const status = await exited.promise;
    return { output: readFileSync(join(host.stateDir, "i-one.log"), "utf8"), process: status.process };
  }

  it("has no privileges, its own user, and none of the agent's environment", async () => {
    vi.stubEnv("AGENT_SECRET", "hidden");
    const { output } = await outputOf("sh", "-c", "id -u; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; env");
    vi.unstubAllEnvs();
    expect(output.startsWith(`${instanceUid("i-one")}\n${instanceUid("i-one")}\n`)).toBe(true);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) expect(output).toContain(`${set}:\t0000000000000000`);
    expect(output).toContain("NoNewPrivs:\t1");
    expect(output).toContain(`CapBnd:\t${(1 << 13).toString(16).padStart(16, "0")}`); // net_raw, which cannot be gained.
    expect(output).toContain("COLOUR=blue");
    expect(output).not.toContain("hidden");
  });

  it("gets its variables only when its privileges are gone: none runs code as root", async () => {
    const shared = mkdtempSync(join(tmpdir(), "plenum-preload-"));
    willLeave({ kind: "directory", dir: shared });
    chmodSync(shared, 0o755);
    // Anybody may write there: the library shall be able to tell on whomever it runs as.
    const seen = join(shared, "seen");
    mkdirSync(seen);
    chmodSync(seen, 0o777);
    writeFileSync(
      join(shared, "tell.c"),
      `#include <fcntl.h>
       #include <stdio.h>
       #include <unistd.h>
       __attribute__((constructor)) static void tell(void) {
         char name[4096];
         snprintf(name, sizeof name, "${seen}/%u", geteuid());
         close(open(name, O_WRONLY | O_CREAT, 0644));
       }`,
    );
    const library = join(shared, "tell.so");
    execFileSync("clang", ["-shared", "-fPIC", "-o", library, join(shared, "tell.c")]);
    const { output } = await outputWith({ LD_PRELOAD: library, PATH: "/usr/bin:/bin", "--help": "x" }, "sh", "-c", "env; id -u");
    expect(readdirSync(seen)).toEqual([String(instanceUid("i-one"))]);
    expect(output).toContain(`LD_PRELOAD=${library}\n`);
    expect(output).toContain("PATH=/usr/bin:/bin\n");
    rmSync(shared, { recursive: true });
  });

  it("may use low ports and ping itself, and sees only its own devices", async () => {
    const listen = "exit(IO::Socket::INET->new(Listen => 1, LocalPort => 80) ? 7 : 8)";
    const { output, process: low } = await outputOf(
      "sh",
      "-c",
      `ping -q -c1 127.0.0.1 && cat /proc/net/dev && exec perl -MIO::Socket::INET -e '${listen}'`,
    );
    expect(low).toEqual({ state: "exited", detail: "exit code 7" });
    expect(output).toContain("1 received");
    expect(output.match(/^ *\w+:/gm)).toEqual([expect.stringContaining("lo:")]);
  });

  describe("reads its own /etc/resolv.conf", () => {
    const servers = (text: string) => [...text.matchAll(/^nameserver (.*)$/gm)].map((m) => m[1]);
    const hosts = () => readFileSync(RESOLVER_FILE, "utf8");
    /** What a process with number `pid` finds there. */
    const readBy = (pid: number) => servers(readFileSync(`/proc/${pid}/root${RESOLVER_FILE}`, "utf8"));

    it("and not the host's, nor another instance's, and cannot write to it or take it away", async () => {
      const before = hosts();
      const driver = host.open();
      const pids = ["i-a", "i-b"].map((instanceId, index) => {
        const argv = [
          "sh",
          "-c",
          `cat ${RESOLVER_FILE}; echo x >>${RESOLVER_FILE} || umount ${RESOLVER_FILE} || echo kept; exec sleep 1000`,
        ];
        const spec = instanceExample({ instanceId, argv, dnsServers: [`10.0.${index}.2`, `10.0.${index}.3`] });
        driver.create(spec);
        driver.setDnsServers(instanceId, spec.dnsServers);
        return pidOf(driver.start(spec));
      });
      for (const [index, instanceId] of ["i-a", "i-b"].entries()) {
        const log = () => readFileSync(join(host.stateDir, `${instanceId}.log`), "utf8");
        await vi.waitUntil(() => log().includes("kept"));
        expect(servers(log())).toEqual([`10.0.${index}.2`, `10.0.${index}.3`]);
        expect(readBy(pids[index]!)).toEqual([`10.0.${index}.2`, `10.0.${index}.3`]);
      }
      expect(hosts()).toBe(before);
    });

    it("changed while it runs, by a successor of the agent, and never empty to who reads at that moment", async () => {
      const before = hosts();
      const driver = host.open();
      const spec = instanceExample({ dnsServers: ["10.0.0.2"] });
      driver.create(spec);
      const pid = pidOf(driver.start(spec)); // it writes the file, if nobody has
      await vi.waitUntil(() => catchesUsr1(pid));
      expect(readBy(pid)).toEqual(["10.0.0.2"]);
      const successor = host.open();
      for (let n = 0; n < 200; n++) {
        successor.setDnsServers("i-one", n % 2 === 0 ? ["10.9.9.9", "10.9.9.8"] : []);
        expect(readBy(pid)).toEqual(n % 2 === 0 ? ["10.9.9.9", "10.9.9.8"] : []);
        expect(readFileSync(`/proc/${pid}/root${RESOLVER_FILE}`).length).toBe(2_048);
      }
      expect(hosts()).toBe(before);
      await successor.remove("i-one");
      expect(readdirSync(host.stateDir)).toEqual([]);
    });
  });

  it("that cannot be found ends with a reason in its log", async () => {
    const { output, process: missing } = await outputOf("/no/such/program");
    expect(missing).toEqual({ state: "exited", detail: "exit code 127" });
    expect(output).toContain("/no/such/program");
  });

  it("goes with all it has started, though it escapes its session and ignores TERM", async () => {
    const driver = host.open({ termMilliseconds: 200 });
    const spec = instanceExample({ argv: ["sh", "-c", "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000' & wait"] });
    driver.create(spec);
    const pid = pidOf(driver.start(spec));
    const log = join(host.stateDir, "i-one.log");
    const escaped = await vi.waitUntil(() => Number(readFileSync(log, "utf8")));
    expect([alive(pid), alive(escaped)]).toEqual([true, true]);
    await driver.remove("i-one");
    expect([alive(pid), alive(escaped)]).toEqual([false, false]);
    expect(existsSync(log)).toBe(false);
  });

  it("survives kill -9 of the agent that started it, and is ended by the next", async () => {
    const script = `
      const { NetnsInstanceDriver } = await import(${JSON.stringify(new URL("./netns-driver.ts", import.meta.url).href)});
      const driver = new NetnsInstanceDriver(${JSON.stringify({ prefix: host.prefix, stateDir: host.stateDir })});
      const spec = ${JSON.stringify(instanceExample())};
      driver.create(spec);
      console.log(JSON.stringify(driver.start(spec)));
      setInterval(() => {}, 1000);`;
    const agent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(agent.stdout, "data")) as [Buffer];
    agent.kill("SIGKILL");
    await once(agent, "exit");
    const started = JSON.parse(line.toString()) as InstanceStatus;
    const successor = host.open();
    expect(successor.list()).toEqual([started]);
    expect(successor.start(instanceExample())).toEqual(started);
    process.kill(pidOf(started), "SIGKILL");
    await vi.waitUntil(() => successor.list()[0]?.process.state === "exited");
    const again = pidOf(successor.start(instanceExample()));
    await successor.remove("i-one");
    expect(alive(again)).toBe(false);
    expect(existsSync(started.netnsPath)).toBe(false);
  });

  it("does not run twice when the agent was killed before it had written down the first", async () => {
    // Killed by itself when it is about to put the state file in place that names the process.
    const script = `
      import fs from "node:fs";
      import { syncBuiltinESMExports } from "node:module";
      const { renameSync, readFileSync } = fs;
      fs.renameSync = (from, to) => {
        if (readFileSync(from, "utf8").includes('"pid"')) process.kill(process.pid, "SIGKILL");
        renameSync(from, to);
      };
      syncBuiltinESMExports();
      const { NetnsInstanceDriver } = await import(${JSON.stringify(new URL("./netns-driver.ts", import.meta.url).href)});
      const driver = new NetnsInstanceDriver(${JSON.stringify({ prefix: host.prefix, stateDir: host.stateDir })});
      driver.create(${JSON.stringify(instanceExample())});
      driver.start(${JSON.stringify(instanceExample())});`;
    const agent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "ignore", "inherit"] });
    expect(await once(agent, "exit")).toEqual([null, "SIGKILL"]);
    const successor = host.open();
    const { netnsPath, process: known } = successor.create(instanceExample());
    expect(known).toEqual({ state: "none" });
    const inode = linux.withNamespace(netnsPath, () => readlinkSync(linux.OWN_NAMESPACE));
    // Shells only: each has a sleep beside it now and then.
    const isShell = (pid: number) => alive(pid) && attempt(() => readFileSync(`/proc/${pid}/comm`, "utf8")) === "sh\n";
    const shells = () => processesOf(inode, instanceUid("i-one")).filter(isShell);
    const [first] = await vi.waitUntil(() => shells().length > 0 && shells());
    // As the agent does: a step that fails is tried again.
    const second = pidOf(await vi.waitUntil(() => attempt(() => successor.start(instanceExample()))));
    await vi.waitUntil(() => catchesUsr1(second));
    expect(alive(first!)).toBe(false);
    // A shell about to become a sleep is one for a moment; a second run would stay one.
    await expect.poll(shells).toEqual([second]);
  });

  it("is ended and started anew when its state file cannot be understood", async () => {
    const driver = host.open();
    driver.create(instanceExample());
    const orphan = pidOf(driver.start(instanceExample()));
    await vi.waitUntil(() => catchesUsr1(orphan));
    const { netnsPath } = driver.create(instanceExample({ instanceId: "i-two", argv: [] }));
    writeFileSync(join(host.stateDir, "i-one.json"), '{"instanceId":');
    const unreadable: string[] = [];
    const successor = host.open({ onUnreadable: (instanceId) => unreadable.push(instanceId) });
    expect(unreadable).toEqual(["i-one"]);
    expect(successor.list()).toEqual([
      { instanceId: "i-two", netnsPath, process: { state: "none" } },
      { instanceId: "i-one", netnsPath: driver.netnsPath("i-one"), process: { state: "none" } },
    ]);
    successor.create(instanceExample());
    const anew = pidOf(await vi.waitUntil(() => attempt(() => successor.start(instanceExample()))));
    expect([alive(orphan), alive(anew)]).toEqual([false, true]);
  });

  it("is not mistaken for another that got its number", async () => {
    const bystander = spawn("sleep", ["1000"], { stdio: "ignore" });
    try {
      const driver = host.open();
      driver.create(instanceExample());
      const state = join(host.stateDir, "i-one.json");
      const record = JSON.parse(readFileSync(state, "utf8")) as object;
      const { pid, startTime, bootId } = identify(bystander.pid!)!;
      writeFileSync(state, JSON.stringify({ ...record, process: { pid, startTime: `${startTime}1`, bootId } }));
      const successor = host.open();
      expect(successor.list()).toMatchObject([{ process: { state: "exited" } }]);
      await successor.remove("i-one");
      expect(alive(pid)).toBe(true);
    } finally {
      bystander.kill("SIGKILL");
    }
  });

  it("is replaced when its namespace was deleted behind the agent's back", async () => {
    const driver = host.open();
    const { netnsPath } = driver.create(instanceExample());
    const orphan = pidOf(driver.start(instanceExample()));
    linux.deleteNamedNamespace(netnsPath.slice(linux.NETNS_DIR.length + 1));
    expect(driver.create(instanceExample()).process.state).toBe("exited");
    await vi.waitUntil(() => !alive(orphan));
    expect(pidOf(driver.start(instanceExample()))).not.toBe(orphan);
  });

  it("can neither fill the disk nor stretch its log between two looks", async () => {
    const { output, process: filler } = await outputOf("sh", "-c", `exec head -c ${2 * FILE_LIMIT_BYTES} /dev/zero`);
    expect(filler).toEqual({ state: "exited", detail: "signal SIGXFSZ" });
    expect(output.length).toBe(FILE_LIMIT_BYTES);
    host.open().list(); // empties the log
    const stretch = "$SIG{XFSZ} = 'IGNORE'; truncate(STDOUT, 1 << 40) and exit 7; print STDERR $!; exit 8";
    const { output: refusal, process: stretcher } = await outputOf("perl", "-e", stretch);
    expect(stretcher).toEqual({ state: "exited", detail: "exit code 8" });
    expect(refusal).toMatch(/File too large$/);
  });

  it("has its log bounded by whoever looks", async () => {
    const driver = host.open();
    const spec = instanceExample({ argv: ["sh", "-c", `head -c ${LOG_LIMIT_BYTES + 1} /dev/zero; echo; echo more; exec sleep 1000`] });
    driver.create(spec);
    driver.start(spec);
    const log = join(host.stateDir, "i-one.log");
    await vi.waitUntil(() => readFileSync(log).length > LOG_LIMIT_BYTES + 5);
    driver.list();
    expect(readFileSync(log).length).toBe(0);
    expect(readFileSync(`${log}.1`).length).toBe(LOG_LIMIT_BYTES);
  });
});
