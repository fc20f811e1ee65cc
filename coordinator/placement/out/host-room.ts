import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { FreeHost } from "./host-store.ts";

/** This near its bound placements on a host go one by one, so that it is kept exactly; elsewhere nobody waits. */
const NEAR = 64;

interface Used {
  readonly instances: number;
  readonly attachments: number;
}

/** Whatever a host has not let go of takes a place there. Its index alone is read. */
async function usedOn(tx: Tx, hostId: string): Promise<Used> {
  const { rows } = await sql<Used>`
    SELECT (SELECT count(*)::int FROM instance WHERE host_id = ${hostId}) AS instances,
           (SELECT count(*)::int FROM attachment WHERE host_id = ${hostId} AND state <> 4) AS attachments`.execute(tx);
  const [used] = rows;
  if (used === undefined) throw new Error("a count returned nothing");
  return used;
}

/** Whether a host can carry one more instance with so many attachments. True: until the transaction's end nobody takes that place. */
export async function hasRoom(
  tx: Tx,
  host: Pick<FreeHost, "hostId" | "maxInstances" | "maxAttachments">,
  attachments: number,
): Promise<boolean> {
  const left = ({ instances: there, attachments: attached }: Used): number =>
    Math.min((host.maxInstances ?? Infinity) - there - 1, (host.maxAttachments ?? Infinity) - attached - attachments);
  if (host.maxInstances === null && host.maxAttachments === null) return true;
  const seen = left(await usedOn(tx, host.hostId));
  if (seen < 0 || seen > NEAR) return seen >= 0;
  await sql`SAVEPOINT room`.execute(tx);
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`room on ${host.hostId}`}, 0))`.execute(tx);
  const room = left(await usedOn(tx, host.hostId)) >= 0;
  // Its turn here is given back before it waits for one elsewhere: whoever comes the other way would wait for this one.
  if (!room) await sql`ROLLBACK TO SAVEPOINT room`.execute(tx);
  await sql`RELEASE SAVEPOINT room`.execute(tx);
  return room;
}
