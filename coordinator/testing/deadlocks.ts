import { sql } from "kysely";
import type { World } from "./world.ts";

/** Deadlocks of the database so far. A server process publishes its statistics when it has nothing to do, once a second at most. */
export async function deadlocks(world: World): Promise<bigint> {
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await Promise.all(Array.from({ length: 60 }, () => world.operator.vpcs.listVpcs({})));
  const { rows } = await sql<{ deadlocks: bigint }>`
    SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`.execute(world.db.kysely);
  return rows[0]?.deadlocks ?? 0n;
}
