import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newestOf } from "#lib/db/fence.ts";
import { coordinatorMigrations, SCHEMA } from "../migrations.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C17: a build that does not know what the rows mean by now writes none of them, whether it runs already or is started.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const WRITES = [
  "INSERT INTO scope (scope, version) VALUES ('watch:x/0', 1)",
  "UPDATE scope SET version = version + 1",
  "UPDATE host SET session_epoch = session_epoch + 1",
  "UPDATE account SET suspend_time = NULL",
  "INSERT INTO principal (account_id, principal_id, role, created_by) VALUES ('acct-x', 'x', 'owner', 'x')",
  "DELETE FROM consent",
];

/** What comes of statements over a connection as a build makes it: SQLSTATE of the refusal, or "done". Nothing of it stays. */
async function as(connection: { application_name: string; options: string }, statements: readonly string[]): Promise<string[]> {
  const client = new pg.Client({ connectionString: world.db.url, ...connection });
  await client.connect();
  const said: string[] = [];
  try {
    for (const statement of statements) {
      await client.query("BEGIN");
      said.push(
        await client.query(statement).then(
          () => "done",
          (error: unknown) => String((error as { code?: unknown }).code),
        ),
      );
      await client.query("ROLLBACK");
    }
  } finally {
    await client.end();
  }
  return said;
}

describe("a build that is older than its database", () => {
  it.each([
    ["that says nothing of what it knows, as those did", "plenum", ""],
    ["in its role, that says nothing", "plenum coordinator", ""],
    ["that says it", "plenum-service", "-c plenum.knows=0113"],
  ])("writes nothing: one %s", async (_title, application_name, knows) => {
    const options = `-c search_path=${SCHEMA} ${knows}`;
    expect(await as({ application_name, options }, WRITES)).toEqual(WRITES.map(() => "57P50"));
    // A host's lease does not end for it, and what is read is read, by instances too.
    const acts = "SELECT instance_acts('vm-x', 'host-x', 1, 'acct-x', 'x', false)";
    const others = ["UPDATE host SET last_seen = now()", "SELECT FROM account", acts];
    expect(await as({ application_name, options }, others)).toEqual(others.map(() => "done"));
  });

  it.each([
    ["this build", "plenum-service", `-c plenum.knows=${newestOf(coordinatorMigrations)}`],
    ["who is no service of ours", "psql", ""],
  ])("others do: %s", async (_title, application_name, knows) => {
    expect(await as({ application_name, options: `-c search_path=${SCHEMA} ${knows}` }, WRITES)).toEqual(WRITES.map(() => "done"));
  });

  it("tells its callers to repeat the call, once a newer one has raised the floor; reads go on; and it does not start again", async () => {
    const { clients } = await world.account();
    const { vpcId } = await world.network(clients);
    const floor = (of: string) =>
      sql`CREATE OR REPLACE FUNCTION schema_floor() RETURNS text LANGUAGE sql STABLE AS ${sql.lit(`SELECT '${of}'::text`)}`.execute(
        world.db.kysely,
      );
    await floor("9999");
    const refusal = await refusalOfCall(
      clients.vpcs.createVpc({ name: "x", cidrBlock: "10.1.0.0/16", firstSubnet: { cidrBlock: "10.1.0.0/24" } }),
    );
    expect(refusal).toMatchObject({ status: "UNAVAILABLE", reason: "UNAVAILABLE" });
    expect(refusal.message).toContain("this copy is older than its database");
    expect((await clients.vpcs.getVpc({ vpcId })).vpc?.vpcId).toBe(vpcId);
    await floor("0114");
    await sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('9999_future', now()::text)`.execute(world.db.kysely);
    await expect(world.copy()).rejects.toThrow("schema coordinator has 9999_future, which this build does not know: run a newer build");
    await sql`DELETE FROM kysely_migration WHERE name = '9999_future'`.execute(world.db.kysely);
  });
});
