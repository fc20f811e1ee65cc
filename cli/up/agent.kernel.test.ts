import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { isBpffs, unmount } from "#lib/linux/index.ts";
import { hostUri } from "#lib/rpc/caller.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { IdentityStore, validity } from "../../host-agent/in/identity.ts";
import { prepareHost } from "./agent.ts";
import { layout } from "./layout.ts";

const HOST_ID = `host-${"0".repeat(32)}`;
const undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function newHost() {
  const dataDir = mkdtempSync(join(tmpdir(), "plenum-agent-"));
  undo.push(() => rm(dataDir, { recursive: true }));
  const plan = layout("plaaaaaa", dataDir, 1);
  const [host] = plan.hosts;
  undo.push(() => Promise.resolve(unmount(host!.bpffs)));
  const asked: string[] = [];
  const client = {
    createJoinToken: ({ zoneId }: { zoneId: string }) => {
      asked.push(zoneId);
      return Promise.resolve({ token: "join-me", expireTime: undefined });
    },
  } as unknown as PlenumClient<typeof HostServiceDefinition>;
  return { plan, host: host!, asked, client };
}

it("gives a new host a place for its pins and a token for its zone, and no second token once it has joined", async () => {
  const { plan, host, asked, client } = newHost();
  await prepareHost(host, plan, client);
  expect(isBpffs(host.bpffs)).toBe(true);
  expect(asked).toEqual(["zone-a"]);
  expect(readFileSync(join(host.stateDir, "join.token"), "utf8")).toBe("join-me\n");

  const authority = await openCertificateAuthority(plan.secretsDir);
  const { cert, key } = await authority.issueUri(hostUri(HOST_ID), 24 * 3_600_000);
  await new IdentityStore(host.stateDir).save({ hostId: HOST_ID, zoneId: "zone-a", certificate: cert, key, caBundle: authority.ca });
  await prepareHost(host, plan, client);
  expect(asked.length).toBe(1);
  expect((await new IdentityStore(host.stateDir).load())?.certificate).toBe(cert);
});

it("signs a new certificate for a host that was away for longer than its own lived", async () => {
  const { plan, host, asked, client } = newHost();
  const authority = await openCertificateAuthority(plan.secretsDir);
  const { cert, key } = await authority.issueUri(hostUri(HOST_ID), 60_000); // so short that it counts as over
  const store = new IdentityStore(host.stateDir);
  await store.save({ hostId: HOST_ID, zoneId: "zone-a", certificate: cert, key, caBundle: authority.ca });
  await prepareHost(host, plan, client);
  const now = await store.load();
  expect(now?.hostId).toBe(HOST_ID);
  expect(now?.key).not.toBe(key);
  expect(validity(now!.certificate).to).toBeGreaterThan(Date.now() + 12 * 3_600_000);
  expect(asked).toEqual([]);
});
