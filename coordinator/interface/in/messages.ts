import type { Attachment, Interface, InterfaceAccess, Traffic } from "#gen/plenum/nivc/v1/interface.ts";
import { actsBy, etagOf, isGrantee } from "../../call/api.ts";
import type { Sight, Tx } from "../../call/api.ts";
import type { ConsentLimit, ListedConsent } from "../../consent/api.ts";
import { grantsOf, limitsOf, listedConsents } from "../../consent/api.ts";
import { attachmentConditions } from "../core/conditions.ts";
import type { HostSight, ReachFacts } from "../core/conditions.ts";
import { failureSeenBy } from "../core/failure-class.ts";
import { macOfWireId } from "../core/mac.ts";
import { inTrouble, recordConditions, recordState } from "../core/record-state.ts";
import type { InstanceDirectory, Reader } from "../ports.ts";
import { ACCESS_ACTIONS, COUNTED } from "./spec.ts";
import type { AccessList } from "./spec.ts";
import { readAttachments } from "../out/attachment-store.ts";
import { networkScope } from "../out/changes.ts";
import { trafficOf } from "../out/meter-store.ts";
import type { TrafficSum } from "../out/meter-store.ts";
import { lookAround } from "../out/look.ts";
import type { Look } from "../out/look.ts";
import { forceFacts, reachOf, versionsLacked } from "../out/reach.ts";
import type { Observation, VersionsLacked } from "../out/reach.ts";
import type { AttachmentRow, InterfaceRow } from "../out/rows.ts";

/** Whoever asks. */
export type Viewer = Sight["subject"];

const traffic = (sum: TrafficSum | undefined): Traffic | undefined =>
  sum === undefined ? undefined : { ...sum, dropsByReason: { ...sum.dropsByReason } };

const sightOf = (viewer: Viewer, row: AttachmentRow): HostSight => {
  if (viewer.kind === "operator") return "all";
  return viewer.accountId === row.instance_owner ? "own" : "none";
};

/** What a call that waited knows beside the rows. */
export interface Waited {
  /** How long it waited, seconds. */
  readonly seconds: number;
  /** For which attachments in vain. */
  readonly unfinished: ReadonlySet<string>;
  /** The versions of scopes that it wrote: reaching them is what it asked for. */
  readonly versions: ReadonlyMap<string, bigint>;
}

/** How far hosts are with each attachment; what they lack of a network is read once, for all that are in it. */
function reachFacts(db: Reader, seen: Observation, waited: Waited | undefined): (row: AttachmentRow) => Promise<ReachFacts | undefined> {
  const lacked = new Map<bigint, VersionsLacked>();
  return async (row) => {
    const progress = row.host_id === null ? undefined : seen.networks.get(row.network_id);
    if (progress === undefined) return undefined;
    const asked = waited?.versions.get(networkScope(row.network_id));
    if (asked !== undefined) return reachOf(progress, asked);
    const known = lacked.get(row.network_id) ?? (await versionsLacked(db, row.network_id, progress));
    lacked.set(row.network_id, known);
    return reachOf(progress, known(row.addresses));
  };
}

/** Attachments as callers see them, in the order of the rows. */
export async function attachmentMessages(
  db: Reader,
  directory: InstanceDirectory,
  viewer: Viewer,
  rows: readonly AttachmentRow[],
  waited?: Waited,
): Promise<Attachment[]> {
  return messagesOf(db, viewer, await lookAround(db, directory, rows), waited);
}

/** The same of attachments that were looked at already. */
export async function messagesOf(db: Reader, viewer: Viewer, look: Look, waited?: Waited): Promise<Attachment[]> {
  return (await attachmentsSeen(db, viewer, look, waited)).map(({ message }) => message);
}

interface Seen {
  readonly message: Attachment;
  /** See `inTrouble`. */
  readonly troubled: boolean;
}

async function attachmentsSeen(db: Reader, viewer: Viewer, { rows, seen, sums, residue }: Look, waited?: Waited): Promise<Seen[]> {
  const messages: Seen[] = [];
  const reach = reachFacts(db, seen, waited);
  for (const row of rows) {
    const sight = sightOf(viewer, row);
    const host = row.host_id === null ? undefined : seen.hosts.get(row.host_id);
    const conditions = attachmentConditions(
      {
        state: row.state,
        hostId: row.host_id,
        wanted: row.wanted,
        generation: row.generation,
        instanceId: row.instance_id,
        appliedGeneration: row.applied_generation,
        appliedState: row.applied_state,
        appliedMessage: failureSeenBy(viewer, row.applied_message),
        appliedTime: row.applied_time ?? undefined,
        changeTime: row.change_time,
        unconfirmed: residue.get(row.attachment_id) ?? [],
      },
      {
        sight,
        host,
        reach: await reach(row),
        force: forceFacts(row, seen),
        waitedSeconds: waited?.unfinished.has(row.attachment_id) === true ? waited.seconds : undefined,
      },
    );
    const message: Attachment = {
      attachmentId: row.attachment_id,
      interfaceId: row.interface_id,
      instanceId: row.instance_id,
      attachmentOwner: row.attachment_owner,
      deviceIndex: row.device_index,
      deleteOnTerminate: row.delete_on_terminate,
      state: row.state,
      conditions,
      hostId: sight === "none" ? "" : (row.host_id ?? ""),
      macAddress: row.host_id === null ? "" : macOfWireId(Number(row.wire_id)),
      wireId: Number(row.wire_id),
      attachTime: row.attach_time,
      programmedTime: row.programmed_time ?? undefined,
      detachTime: row.detach_time ?? undefined,
      generation: row.generation,
      traffic: traffic(sums.get(row.attachment_id)),
      createdBy: row.created_by,
      detachedBy: row.detached_by,
    };
    messages.push({ message, troubled: inTrouble(row, host?.silent === true) });
  }
  return messages;
}

function accessMessage(consents: readonly ListedConsent[], limits: ReadonlyMap<string, readonly ConsentLimit[]>): InterfaceAccess {
  const maximumOf = (consentId: string, counter: string | undefined): number | undefined => {
    const maximum = limits.get(consentId)?.find((limit) => limit.counter === counter)?.maximum;
    return maximum === undefined ? undefined : Number(maximum);
  };
  const grants = (list: AccessList) =>
    consents
      .filter((consent) => consent.actions.includes(ACCESS_ACTIONS[list]))
      .map((consent) => ({
        accountId: consent.granteeAccount,
        consentId: consent.consentId,
        validFrom: consent.validFrom ?? undefined,
        validUntil: consent.validUntil ?? undefined,
        maxAttachments: maximumOf(consent.consentId, COUNTED[list]),
        principalId: consent.granteePrincipal,
      }));
  return {
    attachers: grants("attachers"),
    detachers: grants("detachers"),
    addressSetters: grants("addressSetters"),
    modifiers: grants("modifiers"),
  };
}

/**
 * Who else is allowed what is between the owner and each of them. Whoever reads what the account owns reads its lists; of another account
 * one sees its own entries only, unless it may write the lists itself (a modifier by its own role, not by its account's alone) and
 * must know what is in them.
 */
function visibleConsents(viewer: Viewer, row: InterfaceRow, consents: readonly ListedConsent[]): readonly ListedConsent[] {
  if (viewer.kind === "operator" || viewer.accountId === row.owner_account) return consents;
  const modifies = consents.some(
    (consent) => consent.inForce && grantsOf([consent]).some((grant) => grant.action === ACCESS_ACTIONS.modifiers && actsBy(viewer, grant)),
  );
  return modifies ? consents : consents.filter((consent) => grantsOf([consent]).some((grant) => isGrantee(viewer, grant)));
}

/** Records as callers see them, in the order of the rows. */
export async function interfaceMessages(
  tx: Tx,
  directory: InstanceDirectory,
  viewer: Viewer,
  rows: readonly InterfaceRow[],
  waited?: Waited,
): Promise<Interface[]> {
  const ids = rows.map((row) => row.interface_id);
  if (ids.length === 0) return [];
  const attached = await readAttachments(tx, { interfaceIds: ids });
  const messages = await attachmentsSeen(tx, viewer, await lookAround(tx, directory, attached), waited);
  const attachments = Map.groupBy(messages, ({ message }) => message.interfaceId);
  const consents = await listedConsents(tx, ids);
  const limits = await limitsOf(
    tx,
    [...consents.values()].flatMap((own) => own.map((consent) => consent.consentId)),
  );
  const sums = await trafficOf(tx, ids);
  return rows.map((row) => {
    const seen = attachments.get(row.interface_id) ?? [];
    const own = seen.map(({ message }) => message);
    return {
      interfaceId: row.interface_id,
      ownerAccount: row.owner_account,
      payerAccount: row.payer_account,
      vpcId: row.vpc_id,
      subnetId: row.subnet_id,
      privateAddresses: row.addresses.map((address) => address.split("/")[0] ?? ""),
      securityGroupIds: [...row.security_group_ids],
      name: row.name,
      description: row.description,
      tags: { ...row.tags },
      sourceDestCheck: row.source_dest_check,
      dnsServers: [...row.dns_servers],
      access: accessMessage(visibleConsents(viewer, row, consents.get(row.interface_id) ?? []), limits),
      disabled: row.disabled,
      state: recordState(row.disabled, seen),
      attachments: own,
      conditions: recordConditions(own),
      generation: row.generation,
      etag: etagOf(row.row_version),
      createTime: row.create_time,
      createdBy: row.created_by,
      traffic: traffic(sums.get(row.interface_id)),
      deletionBlockers: own.map((attachment) => attachment.attachmentId),
    };
  });
}
