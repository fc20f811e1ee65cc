import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { Watcher } from "../../coordinator/testing/watcher.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { launch } from "./support/launcher.ts";

// DESIGN's watch, C3: a customer's controller follows its interfaces, with real agents, through the death of the control plane.

let at: Installation;
let owner: { accountId: string; token: string; clients: Clients };
let network: Network;
let guest: Guest;
let files: string;
const watchers: Watcher[] = [];

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  guest = await runGuest(at, owner, network, { host: 0 });
  await runGuest(at, owner, network, { host: 1 });
  files = await mkdtemp(join(tmpdir(), `plenum-w-${randomBytes(3).toString("hex")}-`));
  await writeFile(join(files, "token"), owner.token, { mode: 0o600 });
  await writeFile(join(files, "ca.pem"), at.cluster.ca);
}, 180_000);
afterAll(async () => {
  for (const watcher of watchers) await watcher.close();
  await at?.stop();
  await rm(files, { recursive: true, force: true });
});

const create = async (): Promise<string> => {
  const spec = { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] };
  return (await owner.clients.interfaces.createInterface({ spec })).interface!.interfaceId;
};
const attach = (interfaceId: string) => owner.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId: guest.instanceId } });
const detach = (interfaceId: string) => owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });

async function watch(...given: ConstructorParameters<typeof Watcher>): Promise<Watcher> {
  const watcher = new Watcher(...given);
  watchers.push(watcher);
  await watcher.until(() => watcher.inSync && watcher.token !== "", 20_000);
  return watcher;
}

it("sees an attachment come true by the hosts' own words, and end", async () => {
  const interfaceId = await create();
  const watcher = await watch(owner.clients);
  const state = () => watcher.records.get(interfaceId)?.attachments[0];
  await attach(interfaceId);
  await watcher.until(() => state()?.state === AttachmentState.ATTACHED);
  await watcher.until(() => (state()?.conditions ?? []).every((one) => one.status === ConditionStatus.TRUE), 15_000);
  expect(state()?.conditions.map((one) => one.type)).toEqual(["Programmed", "Reachable"]);
  await detach(interfaceId);
  await watcher.until(() => watcher.records.get(interfaceId)?.attachments.length === 0);
});

it("resumes after the control plane was killed with exactly what was missed; the command does so by itself", async () => {
  const [kept, moved, deleted] = [await create(), await create(), await create()];
  const args = ["--endpoint", at.cluster.endpoint, "--token-file", join(files, "token"), "--ca-file", join(files, "ca.pem")];
  const command = launch("cli/main.ts", [...args, "-o", "json", "eni", "watch"]);
  try {
    await command.says(/"IN_SYNC"/);
    const before = await watch(owner.clients);
    await before.close();
    await attach(moved);
    await owner.clients.interfaces.deleteInterface({ interfaceId: deleted });
    await at.cluster.killControlPlane("SIGKILL");
    for (const host of [0, 1]) await at.cluster.waitConnected(host);
    const after = await watch(owner.clients, { resumeToken: before.token }, before.records);
    const told = after.events.flatMap((event) => {
      if (event.$case === "upserted") return event.value.interfaces.map((one) => one.interfaceId);
      return event.$case === "deleted" ? event.value.interfaceIds : [];
    });
    expect(after.kinds()).not.toContain("snapshot");
    expect([...new Set(told)].sort()).toEqual([moved, deleted].sort());
    expect(after.records.get(moved)?.attachments[0]?.state).toBe(AttachmentState.ATTACHED);
    expect(after.records.has(kept)).toBe(true);
    expect(after.records.has(deleted)).toBe(false);

    await command.says(/connection was lost/);
    await owner.clients.interfaces.deleteInterface({ interfaceId: kept });
    // In whatever order: each is told of by itself.
    for (const gone of [kept, deleted]) await command.says(new RegExp(`"GONE","interfaceId":"${gone}"`));
    command.signal("SIGINT");
    expect(await command.ended).toEqual({ code: 0, signal: null });
  } finally {
    command.signal("SIGKILL");
    await command.ended;
  }
}, 120_000);
