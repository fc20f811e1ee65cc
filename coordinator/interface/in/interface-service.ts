import {
  BatchCreateInterfacesResponse,
  CreateInterfaceResponse,
  InterfaceServiceDefinition,
  WaitFor,
} from "#gen/plenum/nivc/v1/interface_service.ts";
import type {
  AttachInterfaceRequest,
  AttachmentSpec,
  BatchAttachInterfacesRequest,
  SetAddressesRequest,
  UpdateInterfaceRequest,
} from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Attachment, Interface } from "#gen/plenum/nivc/v1/interface.ts";
import type { Kysely } from "kysely";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { integer, listOf, required } from "#lib/rpc/validate.ts";
import { openPage, storedAs, storedIds, storedNothing, waitField } from "../../call/api.ts";
import type { Calls, WriteCall } from "../../call/api.ts";
import type { NetworkModule } from "../../network/api.ts";
import { attachInterfaces } from "../attach.ts";
import { MAX_DEVICES } from "../attach-checks.ts";
import type { WantedAttachment } from "../attach-checks.ts";
import type { InstanceDirectory } from "../ports.ts";
import { Problems } from "../core/problems.ts";
import { createInterfaces } from "../create.ts";
import { checkTarget, detachInterfaces } from "../detach.ts";
import { FORCED_KEY } from "../force.ts";
import { listAttachments, readAttachments } from "../out/attachment-store.ts";
import { listInterfaces, readInterfaces } from "../out/interface-store.ts";
import type { AttachmentRow } from "../out/rows.ts";
import type { Signals } from "../out/signals.ts";
import { checkSetAddresses, setAddresses } from "../set-addresses.ts";
import { checkAttachmentUpdate, updateAttachment } from "../update-attachment.ts";
import { checkUpdate, deleteInterfaceRecord, updateInterfaceRecord } from "../update.ts";
import { checkFilter, silentHosts } from "./filter.ts";
import { attachmentMessages, interfaceMessages } from "./messages.ts";
import { recordMessage, requireSeeAll, settling } from "./settle.ts";
import type { After } from "./settle.ts";
import type { Begun } from "../wait.ts";
import { visibleTo } from "./visible.ts";
import type { InterfaceWatches } from "./watch-interfaces.ts";

const MAX_BATCH = 1_000;

export interface InterfaceServiceOptions {
  readonly calls: Calls;
  readonly pages: PageTokens;
  /** For reading levels while a call waits. */
  readonly db: Kysely<unknown>;
  readonly directory: InstanceDirectory;
  readonly signals: Signals;
  /** Makes sets of groups at their first use. */
  readonly network: Pick<NetworkModule, "withGroupSets">;
  readonly watches: InterfaceWatches;
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

/** InterfaceService as in the proto. */
export function interfaceService(options: InterfaceServiceOptions): ServiceBinding {
  const { calls, pages, db, directory, signals, network } = options;

  const settle = settling(options);

  /** Act once for each request_id; then wait for the attachments that came of it, also when this is a repeat. */
  async function settled(
    context: ServerContext,
    request: { requestId: string } & object,
    after: Pick<After, "wait" | "timeoutMs" | "goal">,
    act: (call: WriteCall) => Promise<readonly AttachmentRow[]>,
  ): Promise<{ attachments: Attachment[]; asked: readonly string[] }> {
    let begun: Begun | undefined;
    const keyed = { action: context.action, requestId: request.requestId, request, ...storedIds };
    const written = await calls
      .write(context, keyed, async (call) => {
        begun?.watch.close(); // it runs again
        const rows = await act(call);
        const ids = rows.map((row) => row.attachment_id);
        begun = { rows, watch: signals.watch(after.wait === WaitFor.COMMITTED ? [] : ids) };
        return ids;
      })
      .catch((error: unknown) => {
        begun?.watch.close();
        throw error;
      });
    // A run that was rolled back has begun something; a twin of the same request_id has written meanwhile, and the answer is of what it wrote.
    if (written.repeated) {
      begun?.watch.close();
      begun = undefined;
    }
    const asked = written.result;
    const rows = begun?.rows ?? (await readAttachments(db, { attachmentIds: asked, over: true }));
    const networks = new Map(rows.map((row) => [row.attachment_id, row.network_id]));
    const awaited = asked.map((id) => ({ id, networkId: networks.get(id) }));
    return { attachments: await settle.attachments(context, { ...after, versions: written.versions }, awaited, begun), asked };
  }

  async function attach(
    context: ServerContext,
    request: AttachInterfaceRequest | BatchAttachInterfacesRequest,
    wanted: readonly WantedAttachment[],
  ): Promise<Attachment[]> {
    const after = { ...waitField(request, WaitFor.PROGRAMMED), goal: "programmed" } as const;
    const { attachments, asked } = await settled(context, request, after, (call) => attachInterfaces(call, directory, wanted));
    const [first = ""] = asked;
    if (attachments.length < asked.length) throw notFound("attachment", first); // a repeat, after all of it was long over
    return attachments;
  }

  /**
   * Change a record once for each request_id; then wait until its host goes by it. `act` answers whether the caller sees the record still:
   * who gave up its own right gets no record, and waits for nothing.
   */
  async function change(
    context: ServerContext,
    request: UpdateInterfaceRequest | SetAddressesRequest,
    interfaceId: string,
    act: (call: WriteCall) => Promise<boolean>,
  ): Promise<{ interface: Interface | undefined }> {
    const waiting = waitField(request, WaitFor.COMMITTED);
    const keyed = { action: context.action, requestId: request.requestId, request, ...storedNothing };
    let sees = true;
    const { versions, repeated } = await network.withGroupSets(() =>
      calls.write(context, keyed, async (call) => {
        sees = await act(call);
      }),
    );
    // Where a twin's answer is ours, what `act` said was rolled back.
    if (!repeated && !sees) return { interface: undefined };
    return { interface: await settle.record(context, { ...waiting, goal: "enforced", versions }, interfaceId) };
  }

  /** Records that the call has just made, in this order. */
  async function madeMessages(call: WriteCall, ids: readonly string[]): Promise<Interface[]> {
    const rows = await readInterfaces(call.tx, ids);
    const inOrder = ids.flatMap((id) => rows.get(id) ?? []);
    return interfaceMessages(call.tx, directory, call.subject, inOrder);
  }

  return bind(InterfaceServiceDefinition, {
    async createInterface(request, context) {
      const spec = required(request.spec, "spec");
      const { requestId } = request;
      const options = { action: context.action, requestId, request, ...storedAs(CreateInterfaceResponse) };
      const { result } = await network.withGroupSets(() =>
        calls.write(context, options, async (call) => {
          const [made] = await createInterfaces(call, [{ spec, path: "spec" }], (ids) => madeMessages(call, ids));
          return CreateInterfaceResponse.create({ interface: made });
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
          const wanted = request.specs.map((spec, index) => ({ spec, path: `specs[${index}]` }));
          const interfaces = await createInterfaces(call, wanted, (ids) => madeMessages(call, ids));
          return BatchCreateInterfacesResponse.create({ interfaces });
        }),
      );
      return result;
    },

    async getInterface(request, context) {
      const interfaceId = parseId("eni", request.interfaceId, "interface_id");
      return { interface: await calls.read(context, context.action, (call) => recordMessage(call, directory, interfaceId)) };
    },

    async listInterfaces(request, context) {
      const filter = checkFilter(request.filter);
      const page = openPage(pages, context, request, { ...filter });
      return calls.read(context, context.action, async (call) => {
        const shown = { ...filter, silentHosts: await silentHosts(call.tx, directory, filter), visibleTo: await visibleTo(call) };
        const rows = await listInterfaces(call.tx, { ...shown, after: page.after, limit: page.limit });
        const { items, nextPageToken } = page.cut(rows, (row) => row.interface_id);
        return { interfaces: await interfaceMessages(call.tx, directory, call.subject, items), nextPageToken };
      });
    },

    watchInterfaces: (request, context) => options.watches.open(request, context),

    async updateInterface(request, context) {
      const update = checkUpdate(required(request.interface, "interface"), request.updateMask);
      return change(context, request, update.interfaceId, (call) => updateInterfaceRecord(call, directory, update));
    },

    async setAddresses(request, context) {
      const wanted = checkSetAddresses(request);
      return change(context, request, wanted.interfaceId, async (call) => {
        await setAddresses(call, directory, wanted);
        return true;
      });
    },

    async deleteInterface(request, context) {
      const interfaceId = parseId("eni", request.interfaceId, "interface_id");
      const keyed = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, keyed, (call) => deleteInterfaceRecord(call, interfaceId, request.etag));
      return {};
    },

    async attachInterface(request, context) {
      const wanted = checkAttachment(required(request.spec, "spec"), "spec");
      const [attachment] = await attach(context, request, [wanted]);
      return { attachment };
    },

    async batchAttachInterfaces(request, context) {
      listOf(request.specs, "specs", { min: 1, max: MAX_BATCH });
      const problems = new Problems();
      const wanted = request.specs.map((spec, index) => problems.check(() => checkAttachment(spec, `specs[${index}]`)));
      problems.throwIfAny();
      const checked = wanted.filter((one) => one !== undefined);
      return { attachments: await attach(context, request, checked) };
    },

    async detachInterface(request, context) {
      const target = checkTarget(request.target);
      const after = { ...waitField(request, WaitFor.PROGRAMMED), goal: "detached" } as const;
      const { attachments } = await settled(context, request, after, (call) => {
        if (request.force) call.afterCommit(() => signals.announce([FORCED_KEY]));
        return detachInterfaces(call, directory, target, request.force);
      });
      return { attachments };
    },

    async updateAttachment(request, context) {
      const update = checkAttachmentUpdate(required(request.attachment, "attachment"), request.updateMask);
      const after = { wait: WaitFor.COMMITTED, timeoutMs: 0, goal: "programmed" } as const;
      const { attachments } = await settled(context, request, after, (call) => updateAttachment(call, directory, update));
      const [attachment] = attachments;
      if (attachment === undefined) throw notFound("attachment", update.attachmentId); // a repeat, after it was long over
      return { attachment };
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
