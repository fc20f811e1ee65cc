import {
  AttachInterfaceRequest,
  BatchCreateInterfacesResponse,
  CreateInterfaceResponse,
  InterfaceServiceDefinition,
  WaitFor,
} from "#gen/plenum/nivc/v1/interface_service.ts";
import type { AttachmentSpec } from "#gen/plenum/nivc/v1/interface_service.ts";
import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import type { Kysely } from "kysely";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument, notFound } from "#lib/rpc/errors.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { integer, listOf, required } from "#lib/rpc/validate.ts";
import { durationMs, openPage, storedAs } from "../../call/api.ts";
import type { Calls, ReadCall, Tx } from "../../call/api.ts";
import { grantsFor } from "../../consent/api.ts";
import type { NetworkModule } from "../../network/api.ts";
import { attachInterfaces, instanceRef } from "../attach.ts";
import { MAX_DEVICES } from "../attach-checks.ts";
import type { WantedAttachment } from "../attach-checks.ts";
import type { InstanceDirectory } from "../ports.ts";
import { Problems } from "../core/problems.ts";
import { createInterfaces, interfaceRef } from "../create.ts";
import { attachmentRef } from "../detach-rights.ts";
import { checkTarget, detachInterfaces } from "../detach.ts";
import { FORCED_KEY } from "../force.ts";
import { carryingHosts, listAttachments, readAttachments } from "../out/attachment-store.ts";
import { listInterfaces, readInterfaces } from "../out/interface-store.ts";
import type { AttachmentRow } from "../out/rows.ts";
import type { Signals } from "../out/signals.ts";
import { checkUpdate, deleteInterfaceRecord, updateInterfaceRecord } from "../update.ts";
import { waitForHosts } from "../wait.ts";
import type { WaitRequest } from "../wait.ts";
import { checkFilter } from "./filter.ts";
import { attachmentMessages, interfaceMessages } from "./messages.ts";
import type { Waited } from "./messages.ts";
import { visibleTo } from "./visible.ts";

const MAX_BATCH = 1_000;
const WAIT = { minMs: 0, maxMs: 60_000, absentMs: 10_000 };

export interface InterfaceServiceOptions {
  readonly calls: Calls;
  readonly pages: PageTokens;
  /** For reading levels while a call waits. */
  readonly db: Kysely<unknown>;
  readonly directory: InstanceDirectory;
  readonly signals: Signals;
  /** Makes sets of groups at their first use. */
  readonly network: Pick<NetworkModule, "withGroupSets">;
}

interface Waiting {
  readonly wait: WaitFor;
  readonly timeoutMs: number;
}

function checkWait(request: Pick<AttachInterfaceRequest, "wait" | "waitTimeout">): Waiting {
  const known: readonly number[] = Object.values(WaitFor);
  if (!known.includes(request.wait)) throw invalidArgument("wait", `is ${request.wait}`, "give COMMITTED, PROGRAMMED or REACHABLE");
  const wait = request.wait === WaitFor.UNSPECIFIED ? WaitFor.PROGRAMMED : request.wait;
  return { wait, timeoutMs: durationMs(request.waitTimeout, "wait_timeout", WAIT) };
}

function checkAttachment(spec: AttachmentSpec, path: string): WantedAttachment {
  return {
    interfaceId: parseId("eni", spec.interfaceId, `${path}.interface_id`),
    instanceId: parseId("i", spec.instanceId, `${path}.instance_id`),
    deviceIndex:
      spec.deviceIndex === undefined ? undefined : integer(spec.deviceIndex, `${path}.device_index`, { min: 0, max: MAX_DEVICES - 1 }),
    deleteOnTerminate: spec.deleteOnTerminate,
    path,
  };
}

/** Attachments are kept by their ids for a repeat: it answers them as they are then. */
const IDS = {
  encode: (ids: readonly string[]): Uint8Array => Buffer.from(ids.join(" ")),
  decode: (bytes: Uint8Array): readonly string[] => Buffer.from(bytes).toString("utf8").split(" "),
};

/** InterfaceService as in the proto. */
export function interfaceService(options: InterfaceServiceOptions): ServiceBinding {
  const { calls, pages, db, directory, signals, network } = options;

  async function settled(
    context: ServerContext,
    request: Waiting & Pick<WaitRequest, "goal" | "versions">,
    rows: readonly { id: string; networkId: bigint | undefined }[],
  ): Promise<Attachment[]> {
    const attachmentIds = rows.map((row) => row.id);
    let waited: Waited | undefined;
    if (request.wait !== WaitFor.COMMITTED) {
      const networkIds = [...new Set(rows.flatMap((row) => row.networkId ?? []))];
      const unfinished = await waitForHosts(db, directory, signals, { ...request, attachmentIds, networkIds }, context.signal);
      waited = { seconds: request.timeoutMs / 1_000, unfinished, versions: request.versions };
    }
    // Decided again on the rows that are answered (C15): who may see them no longer waited for nothing.
    const messages = await calls.read(context, context.action, async (call) => {
      const seen = await readAttachments(call.tx, { attachmentIds, over: true });
      await requireSeeAll(call, seen);
      return attachmentMessages(call.tx, directory, call.subject, seen, waited);
    });
    const byId = new Map(messages.map((message) => [message.attachmentId, message]));
    return attachmentIds.flatMap((id) => byId.get(id) ?? []);
  }

  async function attach(
    context: ServerContext,
    request: { requestId: string } & object,
    waiting: Waiting,
    wanted: readonly WantedAttachment[],
  ): Promise<Attachment[]> {
    let rows: readonly AttachmentRow[] = [];
    const {
      result: ids,
      versions,
      repeated,
    } = await calls.write(context, { action: context.action, requestId: request.requestId, request, ...IDS }, async (call) => {
      rows = await attachInterfaces(call, directory, wanted);
      return rows.map((row) => row.attachment_id);
    });
    if (repeated) rows = await readAttachments(db, { attachmentIds: ids, over: true });
    const networks = new Map(rows.map((row) => [row.attachment_id, row.network_id]));
    const answer = await settled(
      context,
      { ...waiting, goal: "programmed", versions },
      ids.map((id) => ({ id, networkId: networks.get(id) })),
    );
    const [first = ""] = ids;
    if (answer.length < ids.length) throw notFound("attachment", first); // a repeat, after all of it was long over
    return answer;
  }

  async function readInterface(call: ReadCall, interfaceId: string) {
    const row = (await readInterfaces(call.tx, [interfaceId])).get(interfaceId);
    if (row === undefined) throw notFound("interface", interfaceId);
    call.requireSee(interfaceRef(row, (await grantsFor(call.tx, [interfaceId])).get(interfaceId)));
    return (await interfaceMessages(call.tx, directory, call.subject, [row]))[0];
  }

  /** Hosts that carry something and whose lease is over, where the state asked for depends on them. */
  async function silentHosts(tx: Tx, state: InterfaceState): Promise<readonly string[]> {
    if (state !== InterfaceState.IN_USE && state !== InterfaceState.IN_REPAIR) return [];
    const hosts = await directory.hosts(tx, await carryingHosts(tx));
    return [...hosts.values()].filter((host) => host.silent).map((host) => host.hostId);
  }

  return bind(InterfaceServiceDefinition, {
    async createInterface(request, context) {
      const spec = required(request.spec, "spec");
      const { requestId } = request;
      const options = { action: context.action, requestId, request, ...storedAs(CreateInterfaceResponse) };
      const { result } = await network.withGroupSets(() =>
        calls.write(context, options, async (call) => {
          const ids = await createInterfaces(call, [{ spec, path: "spec" }]);
          const rows = await readInterfaces(call.tx, ids);
          return CreateInterfaceResponse.create({
            interface: (await interfaceMessages(call.tx, directory, call.subject, [...rows.values()]))[0],
          });
        }),
      );
      return result;
    },

    async batchCreateInterfaces(request, context) {
      listOf(request.specs, "specs", { min: 1, max: MAX_BATCH });
      const { requestId } = request;
      const options = { action: context.action, requestId, request, ...storedAs(BatchCreateInterfacesResponse) };
      const { result } = await network.withGroupSets(() =>
        calls.write(context, options, async (call) => {
          const ids = await createInterfaces(
            call,
            request.specs.map((spec, index) => ({ spec, path: `specs[${index}]` })),
          );
          const rows = await readInterfaces(call.tx, ids);
          const inOrder = ids.flatMap((id) => rows.get(id) ?? []);
          return BatchCreateInterfacesResponse.create({ interfaces: await interfaceMessages(call.tx, directory, call.subject, inOrder) });
        }),
      );
      return result;
    },

    async getInterface(request, context) {
      const interfaceId = parseId("eni", request.interfaceId, "interface_id");
      return { interface: await calls.read(context, context.action, (call) => readInterface(call, interfaceId)) };
    },

    async listInterfaces(request, context) {
      const filter = checkFilter(request.filter);
      const page = openPage(pages, context, request, { ...filter });
      return calls.read(context, context.action, async (call) => {
        const rows = await listInterfaces(call.tx, {
          visibleTo: await visibleTo(call),
          ...filter,
          silentHosts: await silentHosts(call.tx, filter.state),
          after: page.after,
          limit: page.limit,
        });
        const { items, nextPageToken } = page.cut(rows, (row) => row.interface_id);
        return { interfaces: await interfaceMessages(call.tx, directory, call.subject, items), nextPageToken };
      });
    },

    async updateInterface(request, context) {
      const update = checkUpdate(required(request.interface, "interface"), request.updateMask);
      await network.withGroupSets(() =>
        calls.write(context, { action: context.action }, (call) => updateInterfaceRecord(call, directory, update)),
      );
      return { interface: await calls.read(context, context.action, (call) => readInterface(call, update.interfaceId)) };
    },

    async deleteInterface(request, context) {
      const interfaceId = parseId("eni", request.interfaceId, "interface_id");
      await calls.write(context, { action: context.action }, (call) => deleteInterfaceRecord(call, interfaceId, request.etag));
      return {};
    },

    async attachInterface(request, context) {
      const wanted = checkAttachment(required(request.spec, "spec"), "spec");
      const [attachment] = await attach(context, request, checkWait(request), [wanted]);
      return { attachment };
    },

    async batchAttachInterfaces(request, context) {
      listOf(request.specs, "specs", { min: 1, max: MAX_BATCH });
      const problems = new Problems();
      const wanted = request.specs.map((spec, index) => problems.check(() => checkAttachment(spec, `specs[${index}]`)));
      problems.throwIfAny();
      return {
        attachments: await attach(
          context,
          request,
          checkWait(request),
          wanted.filter((one) => one !== undefined),
        ),
      };
    },

    async detachInterface(request, context) {
      const target = checkTarget(request.target);
      const waiting = checkWait(request);
      const { result: rows, versions } = await calls.write(context, { action: context.action }, async (call) => {
        const ending = await detachInterfaces(call, directory, target, request.force);
        if (request.force) call.afterCommit(() => signals.announce([FORCED_KEY]));
        return ending;
      });
      const ids = rows.map((row) => ({ id: row.attachment_id, networkId: row.network_id }));
      return { attachments: await settled(context, { ...waiting, goal: "detached", versions }, ids) };
    },

    async getAttachment(request, context) {
      const attachmentId = parseId("eni-attach", request.attachmentId, "attachment_id");
      const attachment = await calls.read(context, context.action, async (call) => {
        const [row] = await readAttachments(call.tx, { attachmentIds: [attachmentId], over: true });
        if (row === undefined) throw notFound("attachment", attachmentId);
        await requireSeeAll(call, [row]);
        return (await attachmentMessages(call.tx, directory, call.subject, [row]))[0];
      });
      return { attachment };
    },

    async listAttachments(request, context) {
      const { interfaceId, instanceId } = request;
      if (interfaceId !== "") parseId("eni", interfaceId, "interface_id");
      if (instanceId !== "") parseId("i", instanceId, "instance_id");
      const page = openPage(pages, context, request, { interfaceId, instanceId });
      return calls.read(context, context.action, async (call) => {
        const rows = await listAttachments(call.tx, {
          visibleTo: await visibleTo(call),
          interfaceId,
          instanceId,
          after: page.after,
          limit: page.limit,
        });
        const { items, nextPageToken } = page.cut(rows, (row) => row.attachment_id);
        return { attachments: await attachmentMessages(call.tx, directory, call.subject, items), nextPageToken };
      });
    },
  });
}

/** NOT_FOUND unless the caller may see each one's interface or instance. */
async function requireSeeAll(call: ReadCall, rows: readonly AttachmentRow[]): Promise<void> {
  const instanceOf = (row: AttachmentRow) => instanceRef({ instanceId: row.instance_id, ownerAccount: row.instance_owner });
  const others = rows.filter((row) => !call.canSee(instanceOf(row)));
  if (others.length === 0) return;
  const grants = await grantsFor(
    call.tx,
    others.map((row) => row.interface_id),
  );
  for (const row of others) call.requireSee(attachmentRef(row, grants.get(row.interface_id)));
}
