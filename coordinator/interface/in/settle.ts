import type { Kysely } from "kysely";
import type { Attachment, Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Calls, ReadCall, ResourceRef, Sight, Waiting } from "../../call/api.ts";
import { grantsFor } from "../../consent/api.ts";
import { instanceRef } from "../attach-rights.ts";
import { interfaceRef } from "../create.ts";
import { attachmentRef } from "../detach-rights.ts";
import { readAttachments } from "../out/attachment-store.ts";
import { networkScope } from "../out/changes.ts";
import { lookAt, lookIn, lookQuery } from "../out/look.ts";
import type { Look } from "../out/look.ts";
import { readInterfaces } from "../out/interface-store.ts";
import type { AttachmentRow } from "../out/rows.ts";
import type { Signals } from "../out/signals.ts";
import type { InstanceDirectory } from "../ports.ts";
import { waitForHosts } from "../wait.ts";
import type { Begun, WaitRequest } from "../wait.ts";
import { attachmentMessages, interfaceMessages, messagesOf } from "./messages.ts";
import type { Waited } from "./messages.ts";

/** What a call asks for after its commit. */
export type After = Waiting & Pick<WaitRequest, "goal" | "versions">;

/** An attachment to wait for. */
export interface Awaited {
  readonly id: string;
  /** Undefined: it is not there any more. */
  readonly networkId: bigint | undefined;
}

/** The end of writing calls: wait as asked, then read what is there (C6). */
export interface Settling {
  /** These attachments, in this order; those that are gone are left out. NOT_FOUND: the caller may not see one of them any more. */
  attachments(context: ServerContext, after: After, awaited: readonly Awaited[], begun?: Begun): Promise<Attachment[]>;
  /** A record, whose attachment is waited for. NOT_FOUND. */
  record(context: ServerContext, after: After, interfaceId: string): Promise<Interface | undefined>;
}

export function settling(options: { calls: Calls; db: Kysely<unknown>; directory: InstanceDirectory; signals: Signals }): Settling {
  const { calls, db, directory, signals } = options;

  async function wait(
    context: ServerContext,
    after: After,
    awaited: readonly Awaited[],
    how: Pick<WaitRequest, "look" | "begun">,
  ): Promise<{ waited: Waited; look: Look | undefined }> {
    const { versions } = after;
    if (after.wait === WaitFor.COMMITTED) return { waited: { seconds: 0, unfinished: new Set(), versions }, look: undefined };
    const networkIds = [...new Set(awaited.flatMap((row) => row.networkId ?? []))];
    const attachmentIds = awaited.map((row) => row.id);
    const { unfinished, look } = await waitForHosts(db, signals, { ...after, ...how, attachmentIds, networkIds }, context.signal);
    return { waited: { seconds: after.timeoutMs / 1_000, unfinished, versions }, look };
  }

  return {
    async attachments(context, after, awaited, begun) {
      const ids = awaited.map((row) => row.id);
      // Decided again on the rows that are answered (C15): who may see them no longer waited for nothing.
      let sight: Sight | undefined;
      const lookAgain = (of: readonly string[]): Promise<Look> =>
        calls.readAtOnce(context, context.action, lookQuery(directory, of), (now, rows) => {
          sight = now;
          return lookIn(directory, rows);
        });
      const { waited, look = await lookAgain(ids) } = await wait(context, after, awaited, { look: lookAgain, begun });
      const messages =
        sight !== undefined && isWhole(sight, look, after)
          ? await messagesOf(db, sight.subject, look, waited)
          : await calls.read(context, context.action, async (call) => {
              const rows = await readAttachments(call.tx, { attachmentIds: ids, over: true });
              await requireSeeAll(call, rows);
              return attachmentMessages(call.tx, directory, call.subject, rows, after.wait === WaitFor.COMMITTED ? undefined : waited);
            });
      const byId = new Map(messages.map((message) => [message.attachmentId, message]));
      return awaited.flatMap((row) => byId.get(row.id) ?? []);
    },

    async record(context, after, interfaceId) {
      const rows = after.wait === WaitFor.COMMITTED ? [] : await readAttachments(db, { interfaceIds: [interfaceId] });
      const awaited = rows.map((row) => ({ id: row.attachment_id, networkId: row.network_id }));
      const { waited } = await wait(context, after, awaited, { look: (ids) => lookAt(db, directory, ids) });
      const told = after.wait === WaitFor.COMMITTED ? undefined : waited;
      return calls.read(context, context.action, (call) => recordMessage(call, directory, interfaceId, told));
    },
  };
}

const instanceOf = (row: AttachmentRow): ResourceRef => instanceRef({ instanceId: row.instance_id, ownerAccount: row.instance_owner });

/**
 * Nothing more has to be read for the messages: the caller owns the instances, and which version of each network it asked for is known.
 */
function isWhole(sight: Sight, { rows }: Look, { versions }: After): boolean {
  return rows.every((row) => sight.canSee(instanceOf(row)) && (row.host_id === null || versions.has(networkScope(row.network_id))));
}

/** A record as its caller sees it. NOT_FOUND. */
export async function recordMessage(
  call: ReadCall,
  directory: InstanceDirectory,
  interfaceId: string,
  waited?: Waited,
): Promise<Interface | undefined> {
  const row = (await readInterfaces(call.tx, [interfaceId])).get(interfaceId);
  if (row === undefined) throw notFound("interface", interfaceId);
  call.requireSee(interfaceRef(row, (await grantsFor(call.tx, [interfaceId])).get(interfaceId)));
  return (await interfaceMessages(call.tx, directory, call.subject, [row], waited))[0];
}

/** NOT_FOUND unless the caller may see each one's interface or instance. */
export async function requireSeeAll(call: ReadCall, rows: readonly AttachmentRow[]): Promise<void> {
  const others = rows.filter((row) => !call.canSee(instanceOf(row)));
  if (others.length === 0) return;
  const grants = await grantsFor(
    call.tx,
    others.map((row) => row.interface_id),
  );
  for (const row of others) call.requireSee(attachmentRef(row, grants.get(row.interface_id)));
}
