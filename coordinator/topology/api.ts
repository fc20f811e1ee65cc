import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import { topologyService } from "./in/topology-service.ts";

export { topologyMigrations } from "./migrations.ts";
export { getZone, requireZone } from "./out/zones.ts";
export type { Zone } from "./out/zones.ts";

export interface TopologyModule {
  /** TopologyService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
}

export function createTopology(options: { calls: Calls; pages: PageTokens }): TopologyModule {
  return { bindings: [topologyService(options)] };
}
