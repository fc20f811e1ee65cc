import { fenceMigration } from "#lib/db/fence.ts";
import type { Migrations } from "#lib/db/migrate.ts";
import { callMigrations } from "./call/api.ts";
import { consentMigrations } from "./consent/api.ts";
import { feedMigrations } from "./feed/api.ts";
import { identityMigrations } from "./identity/api.ts";
import { interfaceMigrations } from "./interface/api.ts";
import { networkMigrations } from "./network/api.ts";
import { placementMigrations } from "./placement/api.ts";
import { retentionMigrations } from "./retention.ts";
import { topologyMigrations } from "./topology/api.ts";

export { SCHEMA } from "./call/api.ts";

/** All of the schema `coordinator` and the views of `coordinator_feed` (C17), in the order of their names. */
export const coordinatorMigrations: Migrations = {
  ...callMigrations,
  ...identityMigrations,
  ...consentMigrations,
  ...topologyMigrations,
  ...networkMigrations,
  ...interfaceMigrations,
  ...placementMigrations,
  ...feedMigrations,
  ...retentionMigrations,
  // Builds from before count interfaces apart, know no bar, and let what a suspended account gave count. What prolongs leases is not among
  // these: hosts that are connected to an old copy are not silent for that.
  "0114_fence": fenceMigration("0114", [
    "INSERT OR UPDATE ON scope",
    "INSERT OR UPDATE OF session_epoch ON host",
    ...["account", "principal", "consent", "vpc", "subnet", "security_group"].map((table) => `INSERT OR UPDATE OR DELETE ON ${table}`),
  ]),
};
