import type { Kysely } from "kysely";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { Bus } from "#lib/bus/bus.ts";
import type { ScopeReader } from "#lib/feed/feed.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls, Tx } from "../call/api.ts";
import type { NetworkModule } from "../network/api.ts";
import { attachmentItem } from "./core/items.ts";
import type { InstanceDirectory, Reader } from "./ports.ts";
import { interfaceService } from "./in/interface-service.ts";
import { registerAtNetwork } from "./in/network-hooks.ts";
import { InterfaceWatches } from "./in/watch-interfaces.ts";
import { attachmentsOnHost } from "./out/attachment-store.ts";
import { rulesetsAsItems } from "./out/changes.ts";
import { residueOnHost } from "./out/residue-store.ts";
import { carried } from "./out/rows.ts";
import { createSignals } from "./out/signals.ts";
import type { Signals } from "./out/signals.ts";

export { attachInterfaces } from "./attach.ts";
export { instanceRef, requireAttachable } from "./attach-rights.ts";
export { MAX_DEVICES } from "./attach-checks.ts";
export type { WantedAttachment } from "./attach-checks.ts";
export type { HostFacts } from "./core/conditions.ts";
export { failureSeenBy } from "./core/failure-class.ts";
export type { InstanceDirectory, LockedInstance, PlacedHost, Reader } from "./ports.ts";
export { awaitedForResidue, carriedOn, forgetResidue } from "./departed-host.ts";
export { createInterfaces } from "./create.ts";
export type { WantedInterface } from "./create.ts";
export { FORCED_KEY, forceAllOf, leaseRuns, settleForced } from "./force.ts";
export { interfaceMigrations } from "./migrations.ts";
export { applyStatuses, judgeStatuses } from "./apply-statuses.ts";
export type { AppliedOutcome, AttachmentSaid } from "./apply-statuses.ts";
export { detachAllOf, placeAttachments, unplaceAttachments } from "./move.ts";
export { forcedAttachments, forgetOldAttachments, instancesOfAttachments, standingOfInstances } from "./out/attachment-store.ts";
export type { InstanceAttachments } from "./out/attachment-store.ts";
export { forgetReadRulesets, hostScope, networkScope, tellHost } from "./out/changes.ts";
export { interfaceZones } from "./out/interface-store.ts";
export { addDrops, addReadings } from "./out/meter-store.ts";
export type { AttachmentRow } from "./out/rows.ts";
export type { Signals } from "./out/signals.ts";

/** Everything of interfaces that a host must know now: attachments it carries or may have, and the rules they name (C3). */
export async function interfaceItemsOf(db: Reader, hostId: string): Promise<HostItem[]> {
  const rows = await attachmentsOnHost(db, hostId);
  const gone = await residueOnHost(db, hostId);
  const rules = await rulesetsAsItems(
    db as Tx,
    rows.map((row) => Number(row.ruleset_id)),
  );
  return [
    ...rules,
    ...rows.map((row) => attachmentItem(carried(row))),
    ...gone.map((row) => attachmentItem({ ...carried(row), wanted: Wanted.ABSENT })),
  ];
}

export interface InterfaceModule {
  /** InterfaceService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
  /** Wakes who waits for hosts. */
  readonly signals: Signals;
  /** Open WatchInterfaces of this process. */
  watches(): number;
  stop(): void;
}

/** `directory` is placement's; `network` learns from this module what blocks deletes and whom changed rules concern. */
export function createInterfaceModule(options: {
  readonly calls: Calls;
  readonly pages: PageTokens;
  readonly db: Kysely<unknown>;
  readonly bus: Bus;
  readonly directory: InstanceDirectory;
  readonly network: NetworkModule;
  readonly reader: ScopeReader<unknown>;
  /** Open watches of one account at most. */
  readonly maxWatches: number;
}): InterfaceModule {
  const signals = createSignals(options.bus);
  registerAtNetwork(options.network, { ...options, signals });
  const watches = new InterfaceWatches(options);
  return {
    bindings: [interfaceService({ ...options, signals, watches })],
    signals,
    watches: () => watches.size,
    stop: () => signals.close(),
  };
}
