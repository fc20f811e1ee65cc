import { sql } from "kysely";
import type { MappingItem, Target } from "#gen/plenum/mapping/v1/mapping.ts";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { transaction } from "#lib/db/transaction.ts";
import { appendChanges, encodeBookmark, feedMarks, feedMigration, publishHints } from "#lib/feed/feed.ts";
import type { Position } from "#lib/feed/feed.ts";
import { silentLog } from "#lib/log/log.ts";
import { networkScope } from "../out/tables.ts";
import type { CoordinatorFeed } from "../out/tables.ts";

export const hex = (number: number): string => number.toString(16).padStart(32, "0");
export const hostId = (number: number): string => `host-${hex(number)}`;

/** A target with everything set; `id` makes it one of its kind, `host` says where it is. */
export function target(id: number, host = 1, groupSetId = 7): Target {
  return {
    interfaceId: `eni-${hex(id)}`,
    attachmentId: `eni-attach-${hex(id)}`,
    wireId: id,
    hostId: hostId(host),
    hostAddress: `198.18.${host >> 8}.${host & 255}`,
    groupSetId,
    macAddress: `02:00:00:00:${((id >> 8) & 0xff).toString(16).padStart(2, "0")}:${(id & 0xff).toString(16).padStart(2, "0")}`,
    weight: 1,
  };
}

/** Writes what the coordinator writes, to tables of the shape of its views; for tests. */
export class TestCoordinator {
  readonly #database: Database<CoordinatorFeed>;
  readonly #bus: Bus;

  private constructor(database: Database<CoordinatorFeed>, bus: Bus) {
    this.#database = database;
    this.#bus = bus;
  }

  static async create(url: string, bus: Bus): Promise<TestCoordinator> {
    const database = openDatabase<CoordinatorFeed>({ url, schema: "coordinator_feed", log: silentLog() });
    await sql`CREATE SCHEMA coordinator_feed`.execute(database.kysely);
    for (const migration of [feedMigration("coordinator_feed"), feedMarks("coordinator_feed")]) await migration.up(database.kysely);
    for (const statement of [
      `CREATE TABLE network (network_id bigint PRIMARY KEY, vni int NOT NULL, vpc_id text NOT NULL)`,
      `CREATE TABLE mapping (network_id bigint NOT NULL, prefix text NOT NULL, interface_id text NOT NULL, attachment_id text NOT NULL,
         wire_id bigint NOT NULL, host_id text NOT NULL, host_address text NOT NULL, group_set_id bigint NOT NULL, mac_address text NOT NULL,
         PRIMARY KEY (network_id, prefix, attachment_id))`,
      `CREATE TABLE barred_operator (principal_id text PRIMARY KEY, disabled boolean NOT NULL, tokens_not_before timestamptz)`,
      `CREATE TABLE barred_host (host_id text PRIMARY KEY)`,
      `CREATE TABLE host_network (host_id text NOT NULL, network_id bigint NOT NULL, PRIMARY KEY (host_id, network_id))`,
    ]) {
      await sql.raw(statement).execute(database.kysely);
    }
    return new TestCoordinator(database, bus);
  }

  /** Disable an operator, or revoke its tokens until now; the hint may be lost. */
  async bar(principalId: string, how: "disabled" | "revoked", hinted = true): Promise<void> {
    await sql`
      INSERT INTO barred_operator VALUES (${principalId}, ${how === "disabled"}, CASE ${how} WHEN 'revoked' THEN clock_timestamp() END)
      ON CONFLICT (principal_id) DO UPDATE SET disabled = excluded.disabled, tokens_not_before = excluded.tokens_not_before`.execute(
      this.#database.kysely,
    );
    if (hinted) this.#bus.publish("plenum.int.principal", Buffer.from(`\n${principalId}`));
  }

  /** Bar a host; the hint may be lost. */
  async barHost(host: number, hinted = true): Promise<void> {
    await this.#database.kysely
      .insertInto("coordinator_feed.barred_host")
      .values({ host_id: hostId(host) })
      .execute();
    if (hinted) this.#bus.publish("plenum.int.bar", Buffer.from(hostId(host)));
  }

  async createNetwork(networkId: bigint, vni: number, hosts: readonly number[] = []): Promise<void> {
    const { kysely } = this.#database;
    await kysely
      .insertInto("coordinator_feed.network")
      .values({ network_id: networkId, vni, vpc_id: `vpc-${hex(vni)}` })
      .execute();
    for (const host of hosts) await this.allow(host, networkId);
  }

  async deleteNetwork(networkId: bigint): Promise<void> {
    await this.#database.kysely.deleteFrom("coordinator_feed.network").where("network_id", "=", networkId).execute();
  }

  async allow(host: number, networkId: bigint): Promise<void> {
    await this.#database.kysely
      .insertInto("coordinator_feed.host_network")
      .values({ host_id: hostId(host), network_id: networkId })
      .execute();
  }

  async forbid(host: number, networkId: bigint): Promise<void> {
    const { kysely } = this.#database;
    await kysely
      .deleteFrom("coordinator_feed.host_network")
      .where("host_id", "=", hostId(host))
      .where("network_id", "=", networkId)
      .execute();
  }

  /** One transaction: these prefixes are now so. Returns the version. `payload` replaces what goes into the log. */
  async write(networkId: bigint, items: MappingItem[], payload?: Uint8Array): Promise<bigint> {
    const appended = await transaction(this.#database.kysely, async (tx) => {
      const prefixes = items.map(({ prefix }) => prefix);
      await tx.deleteFrom("coordinator_feed.mapping").where("network_id", "=", networkId).where("prefix", "in", prefixes).execute();
      const rows = items.flatMap(({ prefix, targets }) => targets.map((one) => rowOf(networkId, prefix, one)));
      // 65,535 parameters in one statement at most.
      for (let start = 0; start < rows.length; start += 5_000) {
        await tx
          .insertInto("coordinator_feed.mapping")
          .values(rows.slice(start, start + 5_000))
          .execute();
      }
      const bytes = payload ?? NetworkChange.encode({ version: 0n, items }).finish();
      return appendChanges(tx, [{ scope: networkScope(networkId), payload: bytes }]);
    });
    publishHints(this.#bus, appended);
    return appended[0]?.version ?? 0n;
  }

  /** `count` addresses from 10.0.0.0 on, each with one target on one of 100 hosts; no change is written: for what is loaded later. */
  async fill(networkId: bigint, count: number): Promise<void> {
    await sql`
      INSERT INTO mapping SELECT ${networkId}::bigint, host('10.0.0.0'::inet + n) || '/32', 'eni-' || id, 'eni-attach-' || id, n + 1,
        'host-' || lpad(to_hex(n % 100), 32, '0'), '198.18.0.' || n % 100, n % 7, '02:00:00:00:00:01'
      FROM (SELECT n, lpad(to_hex(n + 1), 32, '0') AS id FROM generate_series(0, ${count}::bigint - 1) AS n) AS numbered`.execute(
      this.#database.kysely,
    );
  }

  /** Forget the log up to `version`, as trimming does. */
  async trim(networkId: bigint, version: bigint): Promise<void> {
    await sql`DELETE FROM change WHERE scope = ${networkScope(networkId)} AND version <= ${version}`.execute(this.#database.kysely);
  }

  /** What a host holds that has all of the network. */
  async position(networkId: bigint): Promise<{ version: bigint; token: Buffer }> {
    const { rows } = await sql<Position>`SELECT version, mark FROM scope WHERE scope = ${networkScope(networkId)}`.execute(
      this.#database.kysely,
    );
    const at = rows[0] ?? { version: 0n, mark: 0n };
    return { version: at.version, token: encodeBookmark(at) };
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

function rowOf(networkId: bigint, prefix: string, one: Target): CoordinatorFeed["coordinator_feed.mapping"] {
  return {
    network_id: networkId,
    prefix,
    interface_id: one.interfaceId,
    attachment_id: one.attachmentId,
    wire_id: BigInt(one.wireId),
    host_id: one.hostId,
    host_address: one.hostAddress,
    group_set_id: BigInt(one.groupSetId),
    mac_address: one.macAddress,
  };
}
