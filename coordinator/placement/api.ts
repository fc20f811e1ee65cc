import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import type { Bus } from "#lib/bus/bus.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import type { Operations } from "../identity/api.ts";
import type { Reader, Signals } from "../interface/api.ts";
import type { NetworkModule } from "../network/api.ts";
import { instanceItem } from "./core/items.ts";
import { hostService } from "./in/host-service.ts";
import { instanceService } from "./in/instance-service.ts";
import { instancesOnHost } from "./out/instance-store.ts";

export { BAR_SUBJECT } from "./in/bar-host.ts";
export { barredAmong } from "./out/bar-store.ts";
export { leavesHost } from "./core/instance-state.ts";
export { hostRef } from "./core/refs.ts";
export { issueInstanceToken } from "./issue-token.ts";
export { checkJoin, joinHost } from "./join.ts";
export { applyInstanceStatuses } from "./lifecycle.ts";
export type { InstanceSaid } from "./lifecycle.ts";
export { placementMigrations } from "./migrations.ts";
export { callerStanding } from "./out/acting-store.ts";
export { readHostRequest } from "./out/certificate-request.ts";
export { instanceDirectory } from "./out/directory.ts";
export { addHostDrops, readHosts } from "./out/host-store.ts";
export { startPresence } from "./presence.ts";
export { settleForcedInstance } from "./settle-forced.ts";
export { forcedInstances, forgetOldInstances, lockInstances } from "./out/instance-store.ts";
export { forgetOldTokens } from "./out/join-store.ts";
export { closeSession, openSession, renewKey, sessionLives, takeIdleVersions, takeVersions } from "./out/session-store.ts";
export { writeSubstrate } from "./out/substrate-store.ts";
export type { SessionVersions } from "./out/session-store.ts";

/** Every instance that a host must know now: those it carries or has not let go of (C3). */
export async function instanceItemsOf(db: Reader, hostId: string): Promise<HostItem[]> {
  return (await instancesOnHost(db, hostId)).map(instanceItem);
}

export interface PlacementModule {
  /** InstanceService and HostService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
}

export function createPlacement(options: {
  calls: Calls;
  pages: PageTokens;
  ca: CertificateAuthority;
  bus: Bus;
  operations: Operations;
  network: Pick<NetworkModule, "withGroupSets">;
  signals: Signals;
}): PlacementModule {
  return { bindings: [instanceService(options), hostService(options)] };
}
