import { sql } from "kysely";
import { formatAddress, parseAddress } from "#lib/net/address.ts";
import type { Tx } from "../../call/api.ts";
import { freeIn, nextAfter, windowsFrom } from "../core/pick-addresses.ts";
import type { AddressRange, Window } from "../core/pick-addresses.ts";

const text = (value: bigint): string => formatAddress({ family: 4, value });

function numberOf(address: string): bigint {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new Error(`the database holds ${JSON.stringify(address)} as an address`);
  return parsed.value;
}

async function takenIn(tx: Tx, subnetId: string, window: Window): Promise<Set<bigint>> {
  const { rows } = await sql<{ address: string }>`
    SELECT DISTINCT host(address) AS address FROM interface_address
    WHERE subnet_id = ${subnetId} AND address BETWEEN ${text(window.first)}::inet AND ${text(window.last)}::inet`.execute(tx);
  return new Set(rows.map((row) => numberOf(row.address)));
}

/**
 * Up to `count` addresses that no record names and that are not in `reserved` (explicit ones of the same batch). The caller holds the
 * subnet's lock (C9), so what is free here stays free until the commit: with N free, N concurrent creates succeed.
 */
export async function pickAddresses(
  tx: Tx,
  subnetId: string,
  range: AddressRange,
  count: number,
  reserved: ReadonlySet<bigint>,
): Promise<bigint[]> {
  const { rows } = await sql<{ next: string }>`SELECT host(next) AS next FROM subnet_pick WHERE subnet_id = ${subnetId}`.execute(tx);
  const hint = rows[0]?.next;
  const picked: bigint[] = [];
  for (const window of windowsFrom(range, hint === undefined ? range.first : numberOf(hint), count)) {
    const taken = await takenIn(tx, subnetId, window);
    picked.push(...freeIn(window, new Set([...taken, ...reserved]), count - picked.length));
    if (picked.length === count) break;
  }
  const next = nextAfter(range, picked);
  if (next !== undefined) {
    await sql`
      INSERT INTO subnet_pick (subnet_id, next) VALUES (${subnetId}, ${text(next)}::inet)
      ON CONFLICT (subnet_id) DO UPDATE SET next = excluded.next`.execute(tx);
  }
  return picked;
}

/** A record names these addresses (with prefix length) and no others. The caller holds the subnet's lock. */
export async function replaceNamed(
  tx: Tx,
  row: { readonly interface_id: string; readonly subnet_id: string },
  addresses: readonly string[],
): Promise<void> {
  await sql`DELETE FROM interface_address WHERE interface_id = ${row.interface_id}`.execute(tx);
  await sql`
    INSERT INTO interface_address (interface_id, subnet_id, address)
    SELECT ${row.interface_id}, ${row.subnet_id}, host(address::inet)::inet FROM unnest(${addresses}::text[]) AS address`.execute(tx);
}

/** How many different addresses of each subnet records name. Subnets without any are left out. */
export async function namedAddressCounts(tx: Tx, subnetIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await sql<{ subnet_id: string; named: bigint }>`
    SELECT subnet_id, count(DISTINCT address) AS named FROM interface_address WHERE subnet_id = ANY(${subnetIds}::text[]) GROUP BY subnet_id`.execute(
    tx,
  );
  return new Map(rows.map((row) => [row.subnet_id, row.named]));
}
