import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { newId } from "#lib/ids/ids.ts";
import { silentLog } from "#lib/log/log.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { makeAccount, makeEstate } from "./support/estate.ts";
import type { Estate } from "./support/estate.ts";
import { startInstallation } from "./support/installation.ts";
import type { Installation } from "./support/installation.ts";

// C15: a list's SQL predicate shows exactly what Cedar's View allows, which each Get decides by itself.

const ACTIONS = ["nivc:AttachInterface", "nivc:DetachInterface", "nivc:SetAddresses", "nivc:UpdateInterface"];
let installation: Installation;
let db: Database<unknown>;
let estates: Estate[];
let interfaces: string[];
let subjects: { name: string; channel: RpcChannel }[];

beforeAll(async () => {
  installation = await startInstallation();
  db = openDatabase<unknown>({ url: installation.databaseUrl, schema: "coordinator", log: silentLog() });
  const as = async (who: Parameters<Installation["token"]>[0]) => installation.channel({ token: await installation.token(who) });
  const operator = await as({ role: "operator" });
  const accounts: string[] = [];
  for (const name of ["a", "b", "c"]) accounts.push(await makeAccount(operator, name));
  subjects = [{ name: "operator", channel: operator }];
  estates = [];
  for (const [index, accountId] of accounts.entries()) {
    const owner = await as({ role: "owner", accountId });
    subjects.push({ name: `owner ${index}`, channel: owner });
    subjects.push({ name: `member ${index}`, channel: await as({ role: "member", accountId, principalId: "mem" }) });
    subjects.push({ name: `viewer ${index}`, channel: await as({ role: "viewer", accountId, principalId: "vic" }) });
    estates.push(await makeEstate(owner, accountId, accounts[(index + 1) % accounts.length] ?? ""));
  }
  interfaces = [];
  for (const estate of estates) interfaces.push(await estate.freshInterface(), await estate.freshInterface(), estate.interfaceId);
});
afterAll(async () => {
  await db?.close();
  await installation?.stop();
});

/** A consent in any state, at any time of its validity. */
const consent = fc.record({
  resource: fc.nat(8),
  grantee: fc.nat(2),
  // The whole account, its owner by name, its member, its viewer, nobody that calls.
  principal: fc.constantFrom("", "", "alice", "mem", "vic", "nobody"),
  action: fc.constantFrom(...ACTIONS),
  state: fc.constantFrom("ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED", "REVOKED"),
  from: fc.constantFrom(null, -3_600, 3_600),
  until: fc.constantFrom(null, -1_800, 7_200),
});

/** Make the database's consents these, and no others. */
async function putConsents(consents: readonly (typeof consent extends fc.Arbitrary<infer One> ? One : never)[]): Promise<void> {
  await sql`DELETE FROM consent`.execute(db.kysely);
  for (const { resource, grantee, principal, action, state, from, until } of consents) {
    if (from !== null && until !== null && from >= until) continue;
    await sql`
      INSERT INTO consent (consent_id, grantor_account, grantee_account, grantee_principal, actions, resource_kind, resource_id, state, created_by, valid_from, valid_until)
      VALUES (${newId("cons")}, ${estates[Math.floor(resource / 3)]?.accountId}, ${estates[grantee]?.accountId}, ${principal}, ${[action]}::text[], 'interface',
              ${interfaces[resource]}, ${state}, 'test', now() + ${from} * interval '1 second', now() + ${until} * interval '1 second')
      ON CONFLICT DO NOTHING`.execute(db.kysely);
  }
}

/** Those of the ids that a Get shows. */
async function seen(ids: readonly string[], get: (id: string) => Promise<unknown>): Promise<string[]> {
  const found = await Promise.all(
    ids.map(async (id) => {
      try {
        await get(id);
        return [id];
      } catch (error) {
        if (callFailure(error)?.status !== "NOT_FOUND") throw error;
        return [];
      }
    }),
  );
  return found.flat().sort();
}

const within = (ids: readonly string[], listed: readonly string[]): string[] => listed.filter((id) => ids.includes(id)).sort();
const pageSize = 1_000;

describe("a list holds what a look would show", () => {
  it("whatever is granted to whom, in whatever state: interfaces, attachments, consents", async () => {
    const attachments = estates.map((estate) => estate.attachmentId);
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(consent, { maxLength: 12 }), async (consents) => {
        await putConsents(consents);
        const given = (await sql<{ id: string }>`SELECT consent_id AS id FROM consent`.execute(db.kysely)).rows.map((row) => row.id);
        for (const { name, channel } of subjects) {
          const client = channel.client(InterfaceServiceDefinition);
          const kernel = channel.client(ConsentServiceDefinition);
          const lists = {
            interfaces: within(
              interfaces,
              (await client.listInterfaces({ pageSize })).interfaces.map((one) => one.interfaceId),
            ),
            attachments: within(
              attachments,
              (await client.listAttachments({ pageSize })).attachments.map((one) => one.attachmentId),
            ),
            consents: (await kernel.listConsents({ pageSize })).consents.map((one) => one.consentId).sort(),
          };
          const looks = {
            interfaces: await seen(interfaces, (interfaceId) => client.getInterface({ interfaceId })),
            attachments: await seen(attachments, (attachmentId) => client.getAttachment({ attachmentId })),
            consents: await seen(given, (consentId) => kernel.getConsent({ consentId })),
          };
          expect({ name, ...lists }).toEqual({ name, ...looks });
          if (name !== "operator" && lists.interfaces.length > 3) shared += 1;
        }
      }),
      { numRuns: 12, seed: 7 },
    );
    expect(shared).toBeGreaterThan(5);
  }, 90_000);

  it("for what is never shared: accounts, VPCs, instances", async () => {
    for (const { name, channel } of subjects) {
      const [vpcs, instances, accounts] = [
        channel.client(VpcServiceDefinition),
        channel.client(InstanceServiceDefinition),
        channel.client(AccountServiceDefinition),
      ];
      const ids = {
        vpcs: estates.map((estate) => estate.vpcId),
        instances: estates.map((estate) => estate.instanceId),
        accounts: estates.map((estate) => estate.accountId),
      };
      expect({
        name,
        vpcs: within(
          ids.vpcs,
          (await vpcs.listVpcs({ pageSize })).vpcs.map((one) => one.vpcId),
        ),
        instances: within(
          ids.instances,
          (await instances.listInstances({ pageSize })).instances.map((one) => one.instanceId),
        ),
        accounts: within(
          ids.accounts,
          (await accounts.listAccounts({ pageSize })).accounts.map((one) => one.accountId),
        ),
      }).toEqual({
        name,
        vpcs: await seen(ids.vpcs, (vpcId) => vpcs.getVpc({ vpcId })),
        instances: await seen(ids.instances, (instanceId) => instances.getInstance({ instanceId })),
        accounts: await seen(ids.accounts, (accountId) => accounts.getAccount({ accountId })),
      });
    }
  });
});
