import type { Kysely } from "kysely";
import type { Attachment, Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Calls, ReadCall, Waiting } from "../../call/api.ts";
import { grantsFor } from "../../consent/api.ts";
import { instanceRef } from "../attach-rights.ts";
import { interfaceRef } from "../create.ts";
import { attachmentRef } from "../detach-rights.ts";
import { readAttachments } from "../out/attachment-store.ts";
import { readInterfaces } from "../out/interface-store.ts";
import type { AttachmentRow } from "../out/rows.ts";
import type { Signals } from "../out/signals.ts";
import type { InstanceDirectory } from "../ports.ts";
import { waitForHosts } from "../wait.ts";
import type { WaitRequest } from "../wait.ts";
import { attachmentMessages, interfaceMessages } from "./messages.ts";
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
  attachments(context: ServerContext, after: After, awaited: readonly Awaited[]): Promise<Attachment[]>;
  /** A record, whose attachment is waited for. NOT_FOUND. */
  record(context: ServerContext, after: After, interfaceId: string): Promise<Interface | undefined>;
}

export function settling(options: { calls: Calls; db: Kysely<unknown>; directory: InstanceDirectory; signals: Signals }): Settling {
  const { calls, db, directory, signals } = options;

  async function wait(context: ServerContext, after: After, awaited: readonly Awaited[]): Promise<Waited | undefined> {
    if (after.wait === WaitFor.COMMITTED) return undefined;
    const networkIds = [...new Set(awaited.flatMap((row) => row.networkId ?? []))];
    const attachmentIds = awaited.map((row) => row.id);
    const unfinished = await waitForHosts(db, directory, signals, { ...after, attachmentIds, networkIds }, context.signal);
    return { seconds: after.timeoutMs / 1_000, unfinished, versions: after.versions };
  }

  return {
    async attachments(context, after, awaited) {
      const waited = await wait(context, after, awaited);
      // Decided again on the rows that are answered (C15): who may see them no longer waited for nothing.
      const messages = await calls.read(context, context.action, async (call) => {
        const seen = await readAttachments(call.tx, { attachmentIds: awaited.map((row) => row.id), over: true });
        await requireSeeAll(call, seen);
        return attachmentMessages(call.tx, directory, call.subject, seen, waited);
      });
      const byId = new Map(messages.map((message) => [message.attachmentId, message]));
      return awaited.flatMap((row) => byId.get(row.id) ?? []);
    },

    async record(context, after, interfaceId) {
      const rows = after.wait === WaitFor.COMMITTED ? [] : await readAttachments(db, { interfaceIds: [interfaceId] });
      const awaited = rows.map((row) => ({ id: row.attachment_id, networkId: row.network_id }));
      const waited = await wait(context, after, awaited);
      return calls.read(context, context.action, (call) => recordMessage(call, directory, interfaceId, waited));
    },
  };
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
  const instanceOf = (row: AttachmentRow) => instanceRef({ instanceId: row.instance_id, ownerAccount: row.instance_owner });
  const others = rows.filter((row) => !call.canSee(instanceOf(row)));
  if (others.length === 0) return;
  const grants = await grantsFor(
    call.tx,
    others.map((row) => row.interface_id),
  );
  for (const row of others) call.requireSee(attachmentRef(row, grants.get(row.interface_id)));
}
