import { sql } from "kysely";
import type { Kysely } from "kysely";

/**
 * Whether hosts can be heard, kept by the database's clock: some copy of the coordinator says every now and then that it is there. When
 * none did for a third of a lease, there was an outage, and hosts that were not heard meanwhile are not silent for that. A
 * shorter break leaves a host enough of its lease to come back in.
 */

/** How long a host's word counts. */
export const LEASE = sql`(SELECT lease FROM host_service)`;

/** Since when hosts could be heard without a break; now, while nobody says that it is there. */
export const HEARD_SINCE = sql`(SELECT CASE WHEN seen > now() - lease / 3 THEN since ELSE now() END FROM host_service)`;

/** A copy starts, with this lease: it is every copy's from now on. */
export async function writeLease(db: Kysely<unknown>, leaseMs: number): Promise<void> {
  await sql`UPDATE host_service SET lease = ${leaseMs} * interval '1 millisecond'`.execute(db);
}

/** A copy is there for hosts. After a break, or when the database's clock has jumped, that begins anew. */
export async function writePresence(db: Kysely<unknown>): Promise<void> {
  await sql`
    UPDATE host_service SET seen = now(),
      since = CASE WHEN seen BETWEEN now() - lease / 3 AND now() + lease / 3 THEN least(since, now()) ELSE now() END`.execute(db);
}
