import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import type { Counters } from "#gen/plenum/host/v1/host_feed.ts";
import type { Kysely } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import { storable } from "#lib/db/storable.ts";
import type { Calls } from "../call/api.ts";
import type { Operations } from "../identity/api.ts";
import { addDrops, addReadings, applyStatuses, instancesOfAttachments, networkScope } from "../interface/api.ts";
import type { AppliedOutcome, AttachmentSaid, Signals } from "../interface/api.ts";
import { addHostDrops, applyInstanceStatuses, lockInstances, sessionLives, takeVersions } from "../placement/api.ts";
import type { InstanceSaid, SessionVersions } from "../placement/api.ts";
import type { PendingApplied } from "./core/merge-applied.ts";
import { staleSession } from "./out/sessions.ts";
import { takeAtOnce } from "./out/take-at-once.ts";

/** What taking a host's word needs. */
export interface ReportDependencies {
  readonly calls: Calls;
  readonly db: Kysely<unknown>;
  /** Takes the hints of what was committed. */
  readonly bus: Bus;
  readonly operations: Operations;
  readonly signals: Signals;
}

const MAX_MESSAGE = 1_000;
const MAX_REASON = 128;
/** What a host says, not longer than a person reads. */
const clean = (text: string): string => storable(text, MAX_MESSAGE);

const known = (state: number): state is AppliedState => state > AppliedState.UNSPECIFIED && state <= AppliedState.FAILED;

/**
 * Write what a host has applied: versions, attachments and instances in one transaction, and whatever follows from them. Safe to repeat.
 * ABORTED (STALE_SESSION): nothing was written.
 */
export async function takeApplied(deps: ReportDependencies, hostId: string, epoch: bigint, pending: PendingApplied): Promise<void> {
  const attachments = pending.attachments
    .filter((status) => known(status.state))
    .map((status) => ({ ...status, message: clean(status.message) }));
  const instances = pending.instances
    .filter((status) => known(status.state))
    .map((status) => ({ ...status, message: clean(status.message), netnsPath: clean(status.netnsPath) }));
  const versions = { hostId, epoch, hostVersion: pending.hostVersion, networks: pending.networks };
  const changed =
    (instances.length > 0 ? undefined : await takeAtOnce(deps, versions, attachments)) ??
    (await takeInSteps(deps, versions, attachments, instances));
  // Who waits for a network's hosts looks again also when one of them is no longer among them.
  const networks = new Set([...pending.networks.keys(), ...changed.networkIds]);
  deps.signals.announce([...changed.attachmentIds, ...[...networks].map(networkScope)]);
}

/** Whatever a host may say. Locks: host, instances, attachments. */
async function takeInSteps(
  { calls, operations }: ReportDependencies,
  versions: SessionVersions,
  attachments: readonly AttachmentSaid[],
  instances: readonly InstanceSaid[],
): Promise<AppliedOutcome> {
  const { hostId, epoch } = versions;
  const { result } = await calls.internal(async (call) => {
    if (!(await takeVersions(call.tx, [versions])).has(hostId)) throw staleSession(epoch);
    const locked = await lockInstances(
      call.tx,
      instances.map((status) => status.instanceId),
      instancesOfAttachments(attachments.map((status) => status.attachmentId)),
    );
    const outcome = await applyStatuses(call, hostId, attachments);
    await applyInstanceStatuses(call, operations, hostId, locked, instances);
    return outcome;
  });
  return result;
}

/**
 * Write a host's cumulative readings: one statement for the meters and one for each kind of drops. Safe to repeat. ABORTED
 * (STALE_SESSION). Holds no lock of the host: acknowledgements go on.
 */
export async function takeCounters({ calls }: ReportDependencies, hostId: string, epoch: bigint, counters: Counters): Promise<void> {
  const life = counters.epoch ?? 0n;
  const meters = counters.meters.map((meter) => ({ ...meter, epoch: life }));
  const drops = counters.drops.map((drop) => ({ ...drop, reason: storable(drop.reason, MAX_REASON), epoch: drop.epoch ?? life }));
  await calls.internal(async (call) => {
    if (!(await sessionLives(call.tx, hostId, epoch))) throw staleSession(epoch);
    await addReadings(call.tx, hostId, counters.readTime, meters);
    await addDrops(
      call.tx,
      hostId,
      drops.filter((drop) => drop.wireId !== 0),
    );
    await addHostDrops(
      call.tx,
      hostId,
      drops.filter((drop) => drop.wireId === 0),
    );
  });
}
