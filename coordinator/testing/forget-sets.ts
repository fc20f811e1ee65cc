import { sql } from "kysely";
import { silentLog } from "#lib/log/log.ts";
import { createCalls } from "../call/api.ts";
import { grantsFor, holdConsents } from "../consent/api.ts";
import { principalStanding } from "../identity/api.ts";
import { tellPeers } from "../interface/out/changes.ts";
import { forgetGroupSets } from "../network/api.ts";
import type { World } from "./world.ts";

/** Forgets sets of groups as the coordinator does each hour; `late`: as if what is idle had been so for two. */
export async function forgetSets({ db, hub }: World, late: boolean): Promise<void> {
  const bus = hub.connect(silentLog());
  const calls = createCalls({ db: db.kysely, bus, grants: grantsFor, hold: holdConsents, standing: principalStanding, log: silentLog() });
  const forget = () => forgetGroupSets(calls, db.kysely, tellPeers);
  try {
    await forget();
    if (!late) return;
    await sql`UPDATE group_set SET idle_since = idle_since - interval '2 hours' WHERE idle_since IS NOT NULL`.execute(db.kysely);
    await forget();
  } finally {
    await bus.close();
  }
}
