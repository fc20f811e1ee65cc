import { OLDER_BUILD } from "./errors.ts";
import type { Migration, Migrations } from "./migrate.ts";
import { sqlMigration } from "./migrate.ts";

/** The newest of the migrations, by its number: what a connection says that it knows. */
export function newestOf(migrations: Migrations): string {
  const newest = Object.keys(migrations).toSorted().at(-1);
  if (newest === undefined) throw new Error("there are no migrations");
  return newest.slice(0, 4);
}

/**
 * The migration that sets up a fence against builds that must not write any more, since a migration made rows mean what they do not know. The
 * database refuses them (`OLDER_BUILD`): each connection of a service says the newest migration that its build knows (`plenum.knows`), and what is
 * below the schema's floor, at first this migration, is refused at the tables that all writes come by. `at`: events of tables ("INSERT OR UPDATE ON scope"). A later migration
 * that old builds must not live to see raises the floor: it replaces the function `schema_floor`. Connections that say nothing are no
 * service's, unless they are of a build from before (`application_name`).
 */
export function fenceMigration(floor: string, at: readonly string[]): Migration {
  const triggers = at.map((event) => `CREATE TRIGGER fence BEFORE ${event} FOR EACH STATEMENT EXECUTE FUNCTION refuse_older_build();`);
  return sqlMigration(`
    CREATE FUNCTION schema_floor() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '${floor}'::text $$;
    CREATE FUNCTION refuse_older_build() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      knows text := coalesce(current_setting('plenum.knows', true), '');
    BEGIN
      IF knows = '' AND current_setting('application_name') !~ '^plenum( |$)' THEN RETURN NULL; END IF;
      IF knows < schema_floor() THEN
        RAISE EXCEPTION 'this build is older than its database, which takes writes of builds that know migration % or later: upgrade it',
          schema_floor() USING ERRCODE = '${OLDER_BUILD}';
      END IF;
      RETURN NULL;
    END $$;
    ${triggers.join("\n    ")}
  `);
}
