import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { SERVICES } from "./services.ts";

/** Brings the schemas of all services up to date, as a role that may make roles and schemas; a line for each. */
export async function migrateAll(db: Database<object>, tell: (line: string) => void): Promise<void> {
  for (const [name, { schema }] of Object.entries(SERVICES)) {
    if (schema === undefined) continue;
    const done = await migrate(db.kysely, schema.name, schema.migrations);
    tell(`schema of ${name}: ${done.length === 0 ? "up to date" : `migrated, ${done.length} steps to ${done.at(-1) ?? ""}`}`);
  }
}
