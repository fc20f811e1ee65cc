import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import type { AuditEntry } from "#gen/plenum/audit/v1/audit.ts";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { startRefusalLog, writeRefusals } from "#lib/audit/refusal-log.ts";
import { openDatabase } from "#lib/db/database.ts";
import { silentLog } from "#lib/log/log.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { makeAccount } from "./support/estate.ts";
import { startInstallation } from "./support/installation.ts";
import type { Installation } from "./support/installation.ts";

// Calls that were refused before any resource was looked at are in the audit too (B8), bounded, and nobody's word can put more there.

let installation: Installation;
let audit: PlenumClient<typeof AuditServiceDefinition>;
let accountId: string;
beforeAll(async () => {
  installation = await startInstallation();
  const operator = installation.channel({ token: await installation.token({ role: "operator", principalId: "root" }) });
  audit = operator.client(AuditServiceDefinition);
  accountId = await makeAccount(operator, "a");
});
afterAll(() => installation?.stop());

const refused = async (filter: object = {}): Promise<AuditEntry[]> =>
  (await audit.listAuditEntries({ decision: AuditDecision.REFUSED, pageSize: 1_000, ...filter })).entries;
const reasonOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "OK",
    (error: unknown) => callFailure(error)?.reason ?? String(error),
  );

describe("a call that is refused at the door", () => {
  it("with a forged token has an entry with a count, of nobody", async () => {
    const real = await installation.token({ role: "operator", principalId: "root" });
    const vpcs = installation.channel({ token: `${real.slice(0, -4)}AAAA` }).client(VpcServiceDefinition);
    for (let index = 0; index < 3; index += 1) expect(await reasonOf(vpcs.listVpcs({}))).toBe("NO_VALID_TOKEN");
    await vi.waitFor(async () => {
      const entries = (await refused()).filter((entry) => entry.reason === "NO_VALID_TOKEN");
      // A minute may have ended in between.
      expect(entries.reduce((sum, entry) => sum + entry.count, 0n)).toBe(3n);
      expect(entries[0]).toMatchObject({
        principalId: "",
        accountId: "",
        action: "network:ListVpcs",
        resourceKind: "call",
        resourceId: "/plenum.network.v1.VpcService/ListVpcs",
      });
      expect(entries[0]?.peer).toMatch(/127\.0\.0\.1$/);
    });
  });

  it("at the mapping service, which may not read the audit, names who was refused", async () => {
    const token = await installation.token({ role: "owner", accountId, principalId: "ann" });
    const lookups = installation.channel({ token }).client(MappingServiceDefinition);
    expect(await reasonOf(lookups.lookupMapping({ networkId: 1n, address: "10.0.0.1" }))).toBe("NOT_ALLOWED");
    await vi.waitFor(async () =>
      expect(await refused({ principalId: "ann" })).toMatchObject([
        { accountId, action: "mapping:LookupMapping", reason: "NOT_ALLOWED", count: 1n },
      ]),
    );
  });

  it("to join or to renew has one too", async () => {
    const feed = installation.channel({}).client(HostFeedServiceDefinition);
    expect(await reasonOf(feed.join({ token: "plenum-join.none", csr: Buffer.from("x"), name: "h" }))).toBe("BAD_JOIN_TOKEN");
    expect(await reasonOf(feed.renewCertificate({ csr: Buffer.from("x") }))).toBe("NO_VALID_TOKEN");
    await vi.waitFor(async () => {
      expect(await refused({ action: "host:Join" })).toMatchObject([{ reason: "BAD_JOIN_TOKEN", principalId: "" }]);
    });
  });

  it("by the coordinator's own decision has one entry, not two", async () => {
    const token = await installation.token({ role: "viewer", accountId, principalId: "vic" });
    const client = installation.channel({ token }).client(PrincipalServiceDefinition);
    expect(await reasonOf(client.createPrincipal({ accountId, principalId: "x" }))).toBe("NOT_ALLOWED");
    // What the door notes of a later call is written after what it noted of an earlier one.
    const later = installation.channel({ token: await installation.token({ role: "viewer", accountId, principalId: "later" }) });
    const lookup = later.client(MappingServiceDefinition).lookupMapping({ networkId: 1n, address: "10.0.0.1" });
    expect(await reasonOf(lookup)).toBe("NOT_ALLOWED");
    await vi.waitFor(async () => expect(await refused({ principalId: "later" })).toHaveLength(1));
    expect(await refused({ principalId: "vic" })).toMatchObject([
      { action: "identity:CreatePrincipal", resourceKind: "account", count: 1n },
    ]);
  });
});

it("the mapping service's role adds refusals, and can neither read the audit nor change what is in it", async () => {
  const { entries } = await audit.listAuditEntries({ decision: AuditDecision.ALLOWED });
  const allowed = entries[0];
  const db = openDatabase<unknown>({ url: installation.databaseUrl, role: "plenum_mapping", log: silentLog() });
  const note = (row: object) => sql`SELECT coordinator_feed.note_refusals(${JSON.stringify([row])}::jsonb)`.execute(db.kysely);
  try {
    const row = { principal_id: "p", account_id: "", action: "x:Y", method: "/m", reason: "NOT_ALLOWED", peer: "::1" };
    await note({ ...row, entry_id: allowed?.entryId, count: 99 });
    await note({ ...row, entry_id: "whatever", count: 1 });
    const { entries: after } = await audit.listAuditEntries({ resourceId: allowed?.resourceId });
    expect(after.find((entry) => entry.entryId === allowed?.entryId)).toEqual(allowed);
    expect((await audit.listAuditEntries({ action: "x:Y" })).entries).toEqual([]);
    const entryId = `audit-${"0".repeat(32)}`;
    for (const count of [2, 1]) await note({ ...row, entry_id: entryId, count });
    expect((await audit.listAuditEntries({ action: "x:Y" })).entries).toMatchObject([
      { entryId, decision: AuditDecision.REFUSED, count: 2n },
    ]);
    await expect(sql`SELECT FROM coordinator.audit_entry`.execute(db.kysely)).rejects.toThrow(/permission denied/);
    await expect(sql`DELETE FROM coordinator.audit_entry`.execute(db.kysely)).rejects.toThrow(/permission denied/);
  } finally {
    await db.close();
  }
});

it("a refusal that the database cannot hold is counted as dropped, and those beside it are written", async () => {
  const db = openDatabase<unknown>({ url: installation.databaseUrl, role: "plenum_mapping", log: silentLog() });
  const dropped: number[] = [];
  const log = startRefusalLog({
    write: (rows) => writeRefusals(db.kysely, rows),
    dropped: (count) => dropped.push(count),
    log: silentLog(),
    everyMs: 60_000,
  });
  try {
    for (const principalId of ["before", "a\0b", "half \ud800", "behind"]) {
      const caller = { kind: "account", principalId, accountId: "", roles: ["viewer"] } as const;
      log.note({ caller, peer: "192.0.2.7:1", action: "x:Poison", method: "/m", reason: "NOT_ALLOWED" });
    }
    await log.stop();
    const { entries } = await audit.listAuditEntries({ action: "x:Poison" });
    expect(entries.map((entry) => entry.principalId).toSorted()).toEqual(["before", "behind"]);
    expect(dropped).toEqual([1, 1]);
  } finally {
    await db.close();
  }
});
