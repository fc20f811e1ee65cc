import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { openChannel } from "#lib/rpc/rpc.ts";
import type { RpcChannel } from "#lib/rpc/rpc.ts";
import { root } from "../rules/repository.ts";
import { clientsOf, finished, makeNetwork } from "./support/installation.ts";
import type { Clients } from "./support/installation.ts";
import { launch, plainEnvironment } from "./support/launcher.ts";
import type { Launcher } from "./support/launcher.ts";
import { run, runIn } from "./support/run.ts";
import { registrationOf, tracesOf } from "./support/traces.ts";
import { http, httpServer, ping } from "./support/traffic.ts";

// `plenum up` over its whole life on one data directory: started, looked at, ended, started again, killed, started again.

let dataDir: string;
let up: Launcher;
const channels: RpcChannel[] = [];

/** What the first life makes and later ones must still have. */
let accountId: string;
let client: string;
let server: string;
let address: string;

const env = plainEnvironment();
const plenum = (...args: string[]) => run(process.execPath, [join(root, "cli/main.ts"), ...args], { env, cwd: root, timeoutMs: 60_000 });
const shell = (command: string) => run("bash", ["-c", command], { env: { ...env, PLENUM_DATA_DIR: dataDir }, cwd: root });

const started = async (): Promise<void> => {
  up = launch("cli/main.ts", ["up", "--data-dir", dataDir, "--port", "0"]);
  await up.says(/Plenum runs[^]*Logs.*\n/);
};

/** As the operator, through the port and with the token that this start printed. */
function operator(): Clients {
  const [, endpoint] = /API +https:\/\/(\S+)/.exec(up.output)!;
  const ca = readFileSync(join(dataDir, "ca.pem"), "utf8");
  const token = readFileSync(join(dataDir, "operator.token"), "utf8").trim();
  const channel = openChannel({ address: endpoint!, ca, token });
  channels.push(channel);
  return clientsOf(channel);
}

const netnsOf = async (instanceId: string): Promise<string> =>
  (await operator().instances.getInstance({ instanceId })).instance?.netnsPath ?? "";

/** The instances of the first life run, and their packets pass. */
async function everythingIsThere(): Promise<void> {
  const clients = operator();
  expect((await clients.accounts.getAccount({ accountId })).account?.name).toBe("kept");
  for (const instanceId of [client, server]) {
    const state = async () => (await clients.instances.getInstance({ instanceId })).instance?.state;
    await expect.poll(state, { timeout: 15_000 }).toBe(InstanceState.RUNNING);
  }
  const inside = await netnsOf(client);
  await expect.poll(async () => (await ping(inside, address, 1)).received, { timeout: 15_000 }).toBe(1);
  expect(await ping(inside, address)).toEqual({ sent: 5, received: 5 });
  await expect.poll(() => http(inside, address), { timeout: 10_000 }).toBe("still here");
}

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "plenum-u-"));
  await started();
});
afterAll(async () => {
  for (const channel of channels) channel.close();
  up?.signal("SIGTERM");
  await up?.ended;
  await plenum("down", "--data-dir", dataDir);
  rmSync(dataDir, { recursive: true, force: true });
});

it("says how to look at it, and what it says works", async () => {
  const printed = up.output.replaceAll("\\\n", " ");
  const command = (heading: string): string => {
    const [, found] = new RegExp(`^ +${heading} +(\\S.*)$`, "m").exec(printed) ?? [];
    expect(found, `${heading} in:\n${printed}`).toBeDefined();
    return found!;
  };
  const methods = await shell(command("Reflection"));
  expect(methods, methods.stderr).toMatchObject({ code: 0 });
  expect(methods.stdout).toContain("plenum.nivc.v1.InterfaceService/AttachInterface");
  const call = await shell(command("A call"));
  expect(call, call.stderr).toMatchObject({ code: 0 });
  expect((JSON.parse(call.stdout) as { hosts: unknown[] }).hosts).toHaveLength(2);
  expect((await shell(command("Metrics"))).stdout).toContain("plenum_coordinator_host_sessions 2");
  expect((await shell(`ls ${command("Logs")}`)).stdout.split("\n")).toEqual(expect.arrayContaining(["control-plane.log", "h1.log"]));
  const hostsView = await shell(/nsenter --net=\S+-h1 ip -br link/.exec(printed)![0]);
  expect(hostsView.stdout).toMatch(/^plenum0 /m);
  for (const suggestion of ["npx plenum host list", "npx plenum drops"]) {
    expect(printed).toContain(suggestion);
    expect(await plenum("--data-dir", dataDir, ...suggestion.split(" ").slice(2))).toMatchObject({ code: 0 });
  }
});

it("has metrics that Prometheus accepts on every endpoint", async () => {
  const { run: name } = await registrationOf(up);
  const pages = [
    await run("curl", ["--silent", "--fail", "--unix-socket", join(dataDir, "metrics.sock"), "http://plenum/metrics"]),
    ...(await Promise.all(
      ["h1", "h2"].map((host) => runIn(`/run/netns/${name}-${host}`, "curl", ["--silent", "--fail", "http://127.0.0.1:9402/metrics"])),
    )),
  ];
  for (const page of pages) {
    expect(page.code).toBe(0);
    expect(page.stdout).toMatch(/^plenum_/m);
    const judged = spawnSync("promtool", ["check", "metrics"], { input: page.stdout, encoding: "utf8" });
    expect(judged).toMatchObject({ status: 0, stdout: "", stderr: "" });
  }
  const bad = spawnSync("promtool", ["check", "metrics"], { input: "plenum_total{ 1\n", encoding: "utf8" });
  expect(bad.status).not.toBe(0); // it does judge
});

it("refuses a second one on the same data directory, and goes on itself", async () => {
  const second = await plenum("up", "--data-dir", dataDir, "--port", "0");
  expect(second.code).toBe(6);
  expect(second.stderr).toContain(`${dataDir} is in use by another \`plenum up\``);
  expect(second.stderr).toMatch(/plenum down|--data-dir/); // the remedy
  const [, port] = /127\.0\.0\.1:(\d+)/.exec(up.output)!;
  const elsewhere = mkdtempSync(join(tmpdir(), "plenum-u-"));
  const samePort = await plenum("up", "--data-dir", elsewhere, "--port", port!);
  rmSync(elsewhere, { recursive: true, force: true });
  expect(samePort.code).toBe(6);
  expect(samePort.stderr).toMatch(new RegExp(`127.0.0.1:${port} is taken[^]*--port`));
  expect((await operator().hosts.listHosts({})).hosts).toHaveLength(2);
});

it("carries traffic", async () => {
  const clients = operator();
  accountId = (await clients.accounts.createAccount({ name: "kept" })).account!.accountId;
  const { token } = await clients.tokens.issueToken({ accountId, principalId: "owner", role: Role.OWNER });
  const channel = openChannel({
    address: /API +https:\/\/(\S+)/.exec(up.output)![1]!,
    ca: readFileSync(join(dataDir, "ca.pem"), "utf8"),
    token,
  });
  channels.push(channel);
  const owner = clientsOf(channel);
  const network = await makeNetwork(owner);
  const runIt = async (zoneId: string, argv: string[]): Promise<string> => {
    const { instance, operation } = await owner.instances.runInstance({
      zoneId,
      process: argv.length === 0 ? undefined : { argv },
      interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] } } }],
    });
    await finished(owner, operation!.operationId);
    return instance!.instanceId;
  };
  [client, server] = [await runIt("zone-a", []), await runIt("zone-b", httpServer("still here"))];
  const { interfaces } = await owner.interfaces.listInterfaces({ filter: { instanceId: server } });
  address = interfaces[0]!.privateAddresses[0]!;
  await everythingIsThere();
});

it("ended by TERM leaves only its data, and with them comes back as it was", async () => {
  const { run: name } = await registrationOf(up);
  up.signal("SIGTERM");
  expect(await up.ended, up.output).toEqual({ code: 0, signal: null });
  expect(up.output).toContain("ended; nothing but the data directory is left");
  expect(tracesOf(name, dataDir)).toEqual([]);
  const nobody = await plenum("--data-dir", dataDir, "host", "list");
  expect(nobody.code).toBe(3);
  expect(nobody.stderr).toContain(`nothing runs in ${dataDir}`);

  await started();
  expect((await registrationOf(up)).run).toBe(name);
  await everythingIsThere();
});

it("killed is swept by the next start on the same directory; `plenum down` ends that", async () => {
  const { run: name } = await registrationOf(up);
  up.signal("SIGKILL");
  await up.ended;
  expect(tracesOf(name)).not.toEqual([]);
  await started();
  await everythingIsThere();
  const down = await plenum("down", "--data-dir", dataDir);
  expect(down, down.stderr).toMatchObject({ code: 0, stdout: `${name}: ended\n` });
  expect(await up.ended).toEqual({ code: 0, signal: null });
  expect(tracesOf(name, dataDir)).toEqual([]);
});
