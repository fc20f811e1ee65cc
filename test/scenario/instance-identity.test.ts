import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { AuditDecision } from "#gen/plenum/audit/v1/audit.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { openChannel } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { root } from "../rules/repository.ts";
import { finished, install, makeNetwork } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";
import { run, runIn } from "./support/run.ts";
import type { Outcome } from "./support/run.ts";

// B8: calls from instances inside a VPC: who, on whose behalf, by which delegation, allowed or refused and why.

const NOT_ALLOWED = 4;

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
let robot: Guest;
let keeper: Guest;
let nobody: Guest;

/** An instance whose process waits, so that others can be started beside it as the instance would. */
interface Guest {
  instanceId: string;
  pid: number;
  uid: string;
}

async function guest(actsAs: string): Promise<Guest> {
  const { instance, operation } = await owner.clients.instances.runInstance({
    interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId } } }],
    process: { argv: ["sleep", "100000"] },
    actsAs,
  });
  await finished(owner.clients, operation!.operationId);
  const { instanceId } = instance!;
  const { instance: running } = await at.operator.instances.getInstance({ instanceId });
  const pids = await run("ip", ["netns", "pids", running!.netnsPath.split("/").at(-1)!]);
  const pid = Number(pids.stdout.trim());
  const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]!;
  return { instanceId, pid, uid };
}

/** A program in the guest's network and view of the files, as the guest's user, without privileges. */
function inside({ pid, uid }: Guest, env: Record<string, string>, ...argv: string[]): Promise<Outcome> {
  const as = [
    "setpriv",
    "--reuid",
    uid,
    "--regid",
    uid,
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--",
  ];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return run("nsenter", [`--target=${pid}`, "--mount", "--net", "--", ...as, "env", "-i", "PATH=/usr/bin:/bin", ...variables, ...argv]);
}

const API = {
  PLENUM_ENDPOINT: "unix:/run/plenum/api.sock",
  PLENUM_CA_FILE: "/run/plenum/ca.pem",
  PLENUM_TOKEN_FILE: "/run/plenum/token",
};
const plenum = (of: Guest, ...args: string[]) => inside(of, API, process.execPath, join(root, "cli/main.ts"), ...args);
const view = async (of: Guest): Promise<string[]> => (await inside(of, {}, "ls", "-A", "/run/plenum")).stdout.split("\n").filter(Boolean);
const FILES = ["api.sock", "ca.pem", "token"];
const hasWay = (of: Guest) => vi.waitFor(async () => expect(await view(of)).toEqual(FILES), { timeout: 15_000, interval: 100 });

beforeAll(async () => {
  at = await install({ hosts: 1 });
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  const channel = openChannel({ address: at.cluster.endpoint, ca: at.cluster.ca, token: at.cluster.operatorToken });
  const principals = channel.client(PrincipalServiceDefinition);
  const { accountId } = owner;
  await principals.createPrincipal({ accountId, principalId: "robot", role: Role.MEMBER });
  await principals.createPrincipal({ accountId, principalId: "keeper", role: Role.OWNER });
  channel.close();
  robot = await guest("robot");
  keeper = await guest("keeper");
  nobody = await guest("");
}, 180_000);
afterAll(() => at?.stop());

it("a guest calls the API through its socket, as far as its principal's role goes, and the audit says how", async () => {
  await hasWay(robot);
  const who = JSON.parse((await plenum(robot, "whoami", "-o", "json")).stdout) as Record<string, string>;
  expect(who).toEqual({ accountId: owner.accountId, principalId: "robot", role: "ROLE_MEMBER", instanceId: robot.instanceId });
  const list = JSON.parse((await plenum(robot, "-o", "json", "eni", "list")).stdout) as { interfaces: { subnetId: string }[] };
  expect(list.interfaces.map((one) => one.subnetId)).toEqual(Array(3).fill(network.subnetId));
  const refused = await plenum(robot, "eni", "create", "--subnet", network.subnetId);
  expect(refused.code).toBe(NOT_ALLOWED);
  await hasWay(keeper);
  expect((await plenum(keeper, "eni", "create", "--subnet", network.subnetId)).code).toBe(0);
  // What it was given it does not pass on.
  expect((await plenum(keeper, "token", "issue", "--account", owner.accountId, "--principal", "keeper")).code).toBe(NOT_ALLOWED);

  const { hostId } = at.cluster.hosts[0]!;
  const { entries } = await owner.clients.audit.listAuditEntries({ accountId: owner.accountId });
  const said = entries.flatMap((e) =>
    e.viaInstanceId === ""
      ? []
      : [[e.principalId, e.viaInstanceId, e.viaHostId, e.action, e.decision === AuditDecision.ALLOWED ? "allowed" : "refused", e.reason]],
  );
  expect(said).toEqual([
    ["keeper", keeper.instanceId, hostId, "identity:IssueToken", "refused", "instances-pass-nothing-on"],
    ["keeper", keeper.instanceId, hostId, "nivc:CreateInterface", "allowed", "owner"],
    ["robot", robot.instanceId, hostId, "nivc:CreateInterface", "refused", "default deny"],
  ]);
});

it("a guest finds its own way only: no other's socket and token, nothing of the host", async () => {
  expect(await view(nobody)).toEqual([]);
  expect((await plenum(nobody, "whoami")).code).not.toBe(0);
  const views = join(at.cluster.dataDir, "hosts", "h1", "instances");
  expect(readdirSync(join(views, `${robot.instanceId}.view`)).sort()).toEqual(FILES);
  for (const path of [
    join(views, `${robot.instanceId}.view`, "token"),
    `/proc/${robot.pid}/root/run/plenum/token`,
    join(at.cluster.dataDir, "hosts", "h1", "identity.json"),
    at.cluster.tokenPath,
  ]) {
    expect(readFileSync(path, "utf8").length).toBeGreaterThan(100);
    for (const of of [nobody, keeper]) expect(await inside(of, {}, "cat", path)).toMatchObject({ code: 1, stdout: "" });
  }
  // The control plane has an address for its host, and none for it.
  const connects = ["-c", "import socket; socket.create_connection(('198.18.0.1', 7444), 1)"];
  expect((await runIn(at.cluster.hosts[0]!.netns, "/usr/bin/python3", connects)).code).toBe(0);
  expect((await inside(keeper, {}, "/usr/bin/python3", ...connects)).code).toBe(1);
});

it("the way comes back when the agent was killed", async () => {
  expect((await plenum(robot, "whoami")).code).toBe(0);
  await at.cluster.killAgent(0);
  expect(await view(robot)).toEqual(FILES);
  await at.cluster.waitConnected(0);
  await vi.waitFor(async () => expect((await plenum(robot, "whoami")).code).toBe(0), { timeout: 20_000, interval: 200 });
  expect(await view(nobody)).toEqual([]);
});

it("one that runs already is given a principal, and loses it again", async () => {
  const actAs = (actsAs: string) =>
    owner.clients.instances.updateInstance({ instance: { instanceId: nobody.instanceId, actsAs }, updateMask: ["acts_as"] });
  await actAs("robot");
  await hasWay(nobody);
  expect((await plenum(nobody, "eni", "list")).code).toBe(0);
  const token = (await inside(nobody, {}, "cat", "/run/plenum/token")).stdout;
  await actAs("");
  await vi.waitFor(async () => expect(await view(nobody)).toEqual([]), { timeout: 15_000, interval: 100 });
  expect(await reasonOf(token)).toBe("INSTANCE_TOKEN_ENDED");
});

/** Why a copied token is refused from anywhere; "": it is taken. */
async function reasonOf(token: string): Promise<string> {
  try {
    await at.clientsFor(token).interfaces.listInterfaces({});
    return "";
  } catch (error) {
    return callFailure(error)?.reason ?? String(error);
  }
}

it("a copied token counts elsewhere only while its instance runs", async () => {
  const token = (await inside(keeper, {}, "cat", "/run/plenum/token")).stdout;
  expect(await reasonOf(token)).toBe("");
  const { operation } = await owner.clients.instances.terminateInstance({ instanceId: keeper.instanceId });
  expect(await reasonOf(token)).toBe("INSTANCE_TOKEN_ENDED");
  await finished(owner.clients, operation!.operationId);
  expect(readdirSync(join(at.cluster.dataDir, "hosts", "h1", "instances")).filter((name) => name.startsWith(keeper.instanceId))).toEqual(
    [],
  );
});
