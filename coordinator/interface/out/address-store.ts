import { sql } from "kysely";
import { formatAddress, parseAddress } from "#lib/net/address.ts";
import type { Tx } from "../../call/api.ts";
import { nextAfter, Picking, windowsFrom } from "../core/pick-addresses.ts";
import type { AddressRange, Lien, Window } from "../core/pick-addresses.ts";

const text = (value: bigint): string => formatAddress({ family: 4, value });

function numberOf(address: string): bigint {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new Error(`the database holds ${JSON.stringify(address)} as an address`);
  return parsed.value;
}

/** Where addresses are picked. */
export interface PickedFrom {
  readonly subnetId: string;
  readonly networkId: bigint;
}

/**
 * What is not free in a window: addresses that records name; those that an attachment holds still, though perhaps no record names them (one
 * was given others, and its host has not let go); and those that a host may forward on off which something was forced (C7).
 */
async function usedIn(tx: Tx, { subnetId, networkId }: PickedFrom, { first, last }: Window) {
  const within = sql`BETWEEN ${text(first)}::inet AND ${text(last)}::inet`;
  const { rows } = await sql<{ address: string; lien: Lien | "named" }>`
    SELECT host(address) AS address, 'named' AS lien FROM interface_address WHERE subnet_id = ${subnetId} AND address ${within}
    UNION ALL SELECT host(address), 'residue' FROM (
      SELECT host(given::inet)::inet AS address FROM attachment_residue r JOIN attachment a USING (attachment_id), unnest(a.addresses) AS given
      WHERE r.network_id = ${networkId}) AS left_behind WHERE address ${within}
    UNION ALL SELECT host(address), 'held' FROM attachment_address WHERE network_id = ${networkId} AND address ${within}`.execute(tx);
  const named = new Set<bigint>();
  const liens = new Map<bigint, Lien>();
  for (const { address, lien } of rows) {
    if (lien === "named") named.add(numberOf(address));
    else liens.set(numberOf(address), lien);
  }
  return { named, liens };
}

/**
 * Up to `count` addresses that no record names and that are not in `reserved` (explicit ones of the same batch); those that cannot be
 * attached yet only where there is no other. The caller holds the subnet's lock (C9), so what no record names stays so until the commit:
 * with N free, N concurrent creates succeed.
 */
export async function pickAddresses(
  tx: Tx,
  subnet: PickedFrom,
  range: AddressRange,
  count: number,
  reserved: ReadonlySet<bigint>,
): Promise<bigint[]> {
  const { subnetId } = subnet;
  const { rows } = await sql<{ next: string }>`SELECT host(next) AS next FROM subnet_pick WHERE subnet_id = ${subnetId}`.execute(tx);
  const hint = rows[0]?.next;
  const picking = new Picking(count);
  for (const window of windowsFrom(range, hint === undefined ? range.first : numberOf(hint), count)) {
    const { named, liens } = await usedIn(tx, subnet, window);
    picking.look(window, new Set([...named, ...reserved]), liens);
    if (picking.enough) break;
  }
  const picked = picking.picked();
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
