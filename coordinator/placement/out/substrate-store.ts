import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { storable } from "#lib/db/storable.ts";

/** What a host says of its substrate (SubstrateStatus). */
export interface SubstrateSaid {
  readonly deviceReady: boolean;
  readonly tunnelReady: boolean;
  readonly message: string;
}

const MAX_MESSAGE = 1_000;

/** Whether a row of `host` can carry packets to others, by its own word; an agent that says nothing of it can. */
export const CARRIES = sql<boolean>`(device_ready IS NOT FALSE AND tunnel_ready IS NOT FALSE)`;

/** Assignments of an UPDATE of `host`. Undefined: the agent says nothing of it. */
export function substrateColumns(said: SubstrateSaid | undefined): RawBuilder<unknown> {
  const device = said?.deviceReady ?? null;
  const tunnel = said?.tunnelReady ?? null;
  const message = storable(said?.message ?? "", MAX_MESSAGE);
  return sql`
    device_ready = ${device}::boolean, tunnel_ready = ${tunnel}::boolean, substrate_message = ${message},
    substrate_time = CASE WHEN device_ready IS NOT DISTINCT FROM ${device}::boolean AND tunnel_ready IS NOT DISTINCT FROM ${tunnel}::boolean
                          THEN substrate_time ELSE now() END`;
}

/** Of the host's newest session; of an older one nothing is written. */
export async function writeSubstrate(db: Kysely<unknown>, hostId: string, epoch: bigint, said: SubstrateSaid): Promise<void> {
  await sql`UPDATE host SET ${substrateColumns(said)} WHERE host_id = ${hostId} AND session_epoch = ${epoch}`.execute(db);
}
