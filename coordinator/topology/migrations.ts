import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** Where things can be (B12). Names are the operator's own and never change. */
export const topologyMigrations: Migrations = {
  "0004_topology": sqlMigration(`
    CREATE TABLE region (
      region_id   text COLLATE "C" PRIMARY KEY,
      create_time timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE zone (
      zone_id     text COLLATE "C" PRIMARY KEY,
      region_id   text NOT NULL REFERENCES region,
      create_time timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX zone_region ON zone (region_id, zone_id);
  `),
};
