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
 * Marks (see Position): a random number a change, kept beside the version in `scope` and `change`, and that of the version before it, so
 * that each change of the log says what it goes on top of, also when what was before it is trimmed. What was written before has 0.
 */
export function feedMarks(schema: string): Migration {
  const s = safeName(schema);
  return sqlMigration(`
    ALTER TABLE ${s}.scope ADD COLUMN mark bigint NOT NULL DEFAULT 0, ADD COLUMN prev_mark bigint NOT NULL DEFAULT 0;
    ALTER TABLE ${s}.change ADD COLUMN mark bigint NOT NULL DEFAULT 0, ADD COLUMN prev_mark bigint NOT NULL DEFAULT 0;

    DROP FUNCTION ${s}.append_changes(text[], bytea[]);
    CREATE FUNCTION ${s}.append_changes(scopes text[], payloads bytea[])
    RETURNS TABLE (scope text, version bigint, mark bigint, prev_mark bigint)
    LANGUAGE sql VOLATILE AS $$
      WITH wanted AS (
        SELECT u.scope COLLATE "C" AS scope, u.payload, 1 + floor(random() * 9007199254740991)::bigint AS mark
        FROM unnest(scopes, payloads) AS u (scope, payload)
      ), raised AS (
        INSERT INTO ${s}.scope AS own (scope, version, mark)
        SELECT wanted.scope, 1, wanted.mark FROM wanted ORDER BY wanted.scope
        ON CONFLICT (scope) DO UPDATE SET version = own.version + 1, mark = excluded.mark, prev_mark = own.mark
        RETURNING own.scope, own.version, own.mark, own.prev_mark
      ), written AS (
        INSERT INTO ${s}.change (scope, version, payload, mark, prev_mark)
        SELECT raised.scope, raised.version, wanted.payload, raised.mark, raised.prev_mark
        FROM raised JOIN wanted ON wanted.scope = raised.scope
      )
      SELECT raised.scope, raised.version, raised.mark, raised.prev_mark FROM raised
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
    CREATE OR REPLACE VIEW ${views}.scope AS SELECT scope, version, mark FROM ${schema}.scope;
    CREATE OR REPLACE VIEW ${views}.change AS SELECT scope, version, payload, mark, prev_mark FROM ${schema}.change;
    GRANT USAGE ON SCHEMA ${views} TO ${reader};
    GRANT SELECT ON ${views}.scope, ${views}.change TO ${reader};
  `;
}
