import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "kysely";
import type { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import type { Migration } from "kysely/migration";
import { safeName } from "./database.ts";

export type { Migration } from "kysely/migration";

/** Name ("0001_first") → migration. Run in the order of the names, each once, for ever: never change one that was released. */
export type Migrations = Readonly<Record<string, Migration>>;

// The tables are those of a moment in history: no current type fits a migration.
type AnyTables = Record<string, Record<string, unknown>>;

/** A migration that is plain SQL, any number of statements. */
export function sqlMigration(text: string): Migration {
  return {
    up: async (db) => {
      await sql.raw(text).execute(db);
    },
  };
}

const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.sql$/;

/** The `NNNN_name.sql` files of a folder. Any other file there is an error: a misnamed migration must not be skipped in silence. */
export async function readMigrations(folder: string): Promise<Migrations> {
  const entries: [string, Migration][] = [];
  for (const file of (await readdir(folder)).sort()) {
    const name = FILE_NAME.exec(file)?.[1];
    if (name === undefined) throw new Error(`${join(folder, file)} is not named NNNN_name.sql`);
    entries.push([name, sqlMigration(await readFile(join(folder, file), "utf8"))]);
  }
  return Object.fromEntries(entries);
}

/** Make the service's role and schema (C17). Two processes may do it at once. */
async function ensureSchema(db: Kysely<AnyTables>, schema: string): Promise<void> {
  const name = safeName(schema);
  await db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(hashtext(${`plenum schema ${name}`}))`.execute(tx);
    await sql
      .raw(
        `DO $$ BEGIN
           IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${name}') THEN
             CREATE ROLE ${name} NOLOGIN;
             IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN GRANT ${name} TO CURRENT_USER; END IF;
           END IF;
         END $$;
         CREATE SCHEMA IF NOT EXISTS ${name} AUTHORIZATION ${name};`,
      )
      .execute(tx);
  });
}

/**
 * Bring `schema` up to date as the role of the same name, which owns it. `db` must be allowed to create roles the first time.
 * All of a run or nothing of it; returns the names that ran. Throws for a schema of a newer build, as {@link checkSchema} does.
 */
export async function migrate<Tables>(db: Kysely<Tables>, schema: string, migrations: Migrations): Promise<string[]> {
  const untyped = db as unknown as Kysely<AnyTables>;
  requireKnown(schema, await doneIn(untyped, schema), migrations);
  await ensureSchema(untyped, schema);
  return untyped.connection().execute(async (connection) => {
    // However long a large table takes, or whoever migrates at the same time: a bound would end each attempt at the same place.
    await sql.raw(`SET ROLE ${safeName(schema)}; SET search_path = ${safeName(schema)}; SET statement_timeout = 0`).execute(connection);
    try {
      const migrator = new Migrator({
        db: connection,
        provider: { getMigrations: () => Promise.resolve({ ...migrations }) },
        migrationTableSchema: schema,
      });
      const { error, results } = await migrator.migrateToLatest();
      if (error !== undefined) {
        const failed = results?.find((result) => result.status === "Error")?.migrationName ?? "its start";
        throw new Error(`migration of ${schema} failed at ${failed}`, { cause: error });
      }
      return (results ?? []).map((result) => result.migrationName);
    } finally {
      await sql.raw("RESET ROLE; RESET search_path; RESET statement_timeout").execute(connection);
    }
  });
}

/** Names of the migrations that were done; none where the schema is not there. */
async function doneIn<Tables>(db: Kysely<Tables>, schema: string): Promise<ReadonlySet<string>> {
  const exists = await sql<{ there: boolean }>`SELECT to_regclass(${`${schema}.kysely_migration`}) IS NOT NULL AS there`.execute(db);
  if (exists.rows[0]?.there !== true) return new Set();
  const { rows } = await sql<{ name: string }>`SELECT name FROM ${sql.table(`${schema}.kysely_migration`)}`.execute(db);
  return new Set(rows.map((row) => row.name));
}

/** Throws when the schema has a migration that this build has never heard of. */
function requireKnown(schema: string, done: ReadonlySet<string>, migrations: Migrations): void {
  const foreign = [...done].filter((name) => !(name in migrations));
  if (foreign.length > 0) throw new Error(`schema ${schema} has ${foreign.join(", ")}, which this build does not know: run a newer build`);
}

/**
 * A service starts only on a schema that it knows (C17): throws when a migration is missing there, or when the schema has one
 * that this build has never heard of.
 */
export async function checkSchema<Tables>(db: Kysely<Tables>, schema: string, migrations: Migrations): Promise<void> {
  const done = await doneIn(db, schema);
  const missing = Object.keys(migrations).filter((name) => !done.has(name));
  if (missing.length > 0) throw new Error(`schema ${schema} lacks ${missing.join(", ")}: migrate it first`);
  requireKnown(schema, done, migrations);
}
