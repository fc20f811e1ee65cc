import type { Migrations } from "#lib/db/migrate.ts";
import type { ServiceContext, ServiceHandle } from "#lib/service/service.ts";
import { startCoordinator } from "../../coordinator/main.ts";
import { coordinatorMigrations, SCHEMA } from "../../coordinator/migrations.ts";
import { startMappingService } from "../../mapping-service/main.ts";

/** A service: its tables, how it is started, and as whom it reads the database (C17). */
export interface ServiceEntry {
  start: (context: ServiceContext) => Promise<ServiceHandle>;
  databaseRole: string;
  /** The schema that it owns; absent: it owns none. */
  schema?: { name: string; migrations: Migrations };
}

/** Every service that this build has, in the order of their start (a later one reads an earlier one's views). */
export const SERVICES: Readonly<Record<string, ServiceEntry>> = {
  coordinator: { start: startCoordinator, databaseRole: "coordinator", schema: { name: SCHEMA, migrations: coordinatorMigrations } },
  "mapping-service": { start: startMappingService, databaseRole: "plenum_mapping" },
};
