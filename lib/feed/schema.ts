import { safeName } from "../db/database.ts";
import { sqlMigration } from "../db/migrate.ts";
import type { Migration } from "../db/migrate.ts";

/**
 * The tables that carry order (C1): `scope(scope, version)` and `change(scope, version, payload, created_at)`, and the function
 * `append_changes(scopes, payloads)`, the last statement of every writing transaction. It locks its scopes in sorted order (no two
 * writers deadlock over them), adds one to each and writes the changes, so that versions are dense and in commit order.
 */
export function feedMigration(schema: string): Migration {
  const s = safeName(schema);
  return sqlMigration(`
    CREATE TABLE ${s}.scope (
      scope text COLLATE "C" PRIMARY KEY,
      version bigint NOT NULL CHECK (version > 0)
    ) WITH (fillfactor = 50);

    CREATE TABLE ${s}.change (
      scope text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      payload bytea NOT NULL,
      created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (scope, version)
    );
    CREATE INDEX change_created_at ON ${s}.change USING brin (created_at);

    CREATE FUNCTION ${s}.append_changes(scopes text[], payloads bytea[]) RETURNS TABLE (scope text, version bigint)
    LANGUAGE sql VOLATILE AS $$
      WITH wanted AS (
        SELECT u.scope COLLATE "C" AS scope, u.payload FROM unnest(scopes, payloads) AS u (scope, payload)
      ), raised AS (
        INSERT INTO ${s}.scope AS own (scope, version)
        SELECT wanted.scope, 1 FROM wanted ORDER BY wanted.scope
        ON CONFLICT (scope) DO UPDATE SET version = own.version + 1
        RETURNING own.scope, own.version
      ), written AS (
        INSERT INTO ${s}.change (scope, version, payload)
        SELECT raised.scope, raised.version, wanted.payload FROM raised JOIN wanted ON wanted.scope = raised.scope
      )
      SELECT raised.scope, raised.version FROM raised
    $$;
  `);
}

/**
 * Views of the feed in a schema of their own, for another service to follow (C17): `scope` and `change`, so that a
 * `createScopeReader` with that schema's name works on them. `reader` is the other service's role.
 */
export function feedViews(options: { schema: string; views: string; reader: string }): string {
  const [schema, views, reader] = [options.schema, options.views, options.reader].map(safeName);
  return `
    CREATE OR REPLACE VIEW ${views}.scope AS SELECT scope, version FROM ${schema}.scope;
    CREATE OR REPLACE VIEW ${views}.change AS SELECT scope, version, payload FROM ${schema}.change;
    GRANT USAGE ON SCHEMA ${views} TO ${reader};
    GRANT SELECT ON ${views}.scope, ${views}.change TO ${reader};
  `;
}
