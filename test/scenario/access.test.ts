import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../rules/repository.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";
import { plainEnvironment } from "./support/launcher.ts";
import { run } from "./support/run.ts";
import { ping } from "./support/traffic.ts";

// N10: the lists of who may attach, detach, set addresses and modify, from the command line, between accounts.

interface Person {
  readonly accountId: string;
  readonly clients: Clients;
  /** The command line as this account's owner; answers standard output and the exit code. */
  plenum(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
}

let at: Installation;
let files: string;
let owner: Person;
let editor: Person;
let tenant: Person;
let network: Network;

async function person(name: string): Promise<Person> {
  const { accountId, token, clients } = await at.account(name);
  const tokenFile = join(files, `${name}.token`);
  writeFileSync(tokenFile, token);
  const as = ["--endpoint", at.cluster.endpoint, "--ca-file", join(files, "ca.pem"), "--token-file", tokenFile];
  return {
    accountId,
    clients,
    plenum: (...args) => run(process.execPath, [join(root, "cli/main.ts"), ...as, ...args], { env: plainEnvironment(), timeoutMs: 60_000 }),
  };
}

beforeAll(async () => {
  at = await install({ hosts: 1 });
  files = mkdtempSync(join(tmpdir(), "plenum-a-"));
  writeFileSync(join(files, "ca.pem"), at.cluster.ca);
  [owner, editor, tenant] = [await person("owner"), await person("editor"), await person("tenant")];
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => {
  await at?.stop();
  if (files !== undefined) rmSync(files, { recursive: true, force: true });
});

const NOT_ALLOWED = 4;
const NO_SUCH = 5;

it("a modifier edits the lists, whole, and so lets a third account attach, address and detach; taken back, it ends", async () => {
  const made = await owner.plenum(
    ...["-o", "json", "eni", "create", "--subnet", network.subnetId, "--group", network.openGroupId],
    ...["--modifier", editor.accountId, "--detacher", editor.accountId],
  );
  expect(made.stderr).toBe("");
  const { interfaceId } = JSON.parse(made.stdout) as { interfaceId: string };
  // Its own instance, in its own network, on the host where a neighbour of the owner's is.
  const instanceId = (await runGuest(at, tenant, await makeNetwork(tenant.clients), { host: 0 })).instanceId;
  const neighbour = await runGuest(at, owner, network, { host: 0 });
  expect((await tenant.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NO_SUCH);

  const lists = ["attacher", "detacher", "address-setter"].flatMap((list) => ["--add", `${list}=${tenant.accountId}`]);
  expect(await editor.plenum("eni", "access", interfaceId, ...lists)).toMatchObject({ code: 0, stderr: "" });
  // It wrote whole lists, and nobody's entry was lost.
  const access = (await owner.clients.interfaces.getInterface({ interfaceId })).interface!.access!;
  const named = (grants: readonly { accountId: string }[]) => grants.map((grant) => grant.accountId);
  expect(named(access.attachers)).toEqual([tenant.accountId]);
  expect(named(access.detachers)).toEqual([editor.accountId, tenant.accountId]);
  expect(named(access.addressSetters)).toEqual([tenant.accountId]);
  expect(named(access.modifiers)).toEqual([editor.accountId]);
  expect((await editor.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NOT_ALLOWED);
  expect((await tenant.plenum("eni", "access", interfaceId, "--add", `modifier=${tenant.accountId}`)).code).toBe(NOT_ALLOWED);

  expect(await tenant.plenum("eni", "attach", interfaceId, instanceId, "--wait", "reachable")).toMatchObject({ code: 0, stderr: "" });
  expect(await tenant.plenum("eni", "addresses", interfaceId, "10.0.1.150", "--wait", "reachable")).toMatchObject({ code: 0, stderr: "" });
  expect(await ping(neighbour.netns, "10.0.1.150")).toEqual({ sent: 5, received: 5 });

  const taken = ["--remove", `attacher=${tenant.accountId}`, "--remove", `address-setter=${tenant.accountId}`];
  expect((await editor.plenum("eni", "access", interfaceId, ...taken)).code).toBe(0);
  expect((await tenant.plenum("eni", "addresses", interfaceId, "10.0.1.151")).code).toBe(NOT_ALLOWED);
  expect((await tenant.plenum("eni", "detach", interfaceId)).code).toBe(0);
  expect((await ping(neighbour.netns, "10.0.1.150", 3)).received).toBe(0);
  expect((await tenant.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NOT_ALLOWED);
  expect((await owner.plenum("eni", "delete", interfaceId)).code).toBe(0);
});
