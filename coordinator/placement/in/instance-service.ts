import { InstanceServiceDefinition, InstanceState, RunInstanceResponse, StartInstanceResponse } from "#gen/plenum/compute/v1/instance.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument, notFound } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { required } from "#lib/rpc/validate.ts";
import { openPage, slug, storedAs, storedNothing } from "../../call/api.ts";
import type { Calls, WriteCall } from "../../call/api.ts";
import { getOperation, operationMessage } from "../../identity/api.ts";
import type { Operations } from "../../identity/api.ts";
import { FORCED_KEY, instanceRef } from "../../interface/api.ts";
import type { Signals } from "../../interface/api.ts";
import type { NetworkModule } from "../../network/api.ts";
import { hostRef } from "../core/refs.ts";
import { checkRun } from "./run-request.ts";
import { startInstance, stopInstance, terminateInstance } from "../lifecycle.ts";
import { listInstances, readInstance } from "../out/instance-store.ts";
import type { InstanceRow } from "../out/instance-store.ts";
import { runInstance } from "../run.ts";
import { checkInstanceUpdate, updateInstance } from "../update.ts";
import { instanceMessages } from "./messages.ts";

/** InstanceService as in the proto. */
export function instanceService(options: {
  calls: Calls;
  pages: PageTokens;
  operations: Operations;
  network: Pick<NetworkModule, "withGroupSets">;
  signals: Signals;
}): ServiceBinding {
  const { calls, pages, operations, network, signals } = options;

  const read = (context: ServerContext, instanceId: string): Promise<Instance | undefined> =>
    calls.read(context, context.action, async (call) => {
      const row = await readInstance(call.tx, instanceId);
      if (row === undefined) throw notFound("instance", instanceId);
      call.requireSee(instanceRef({ instanceId, ownerAccount: row.owner_account }));
      return (await instanceMessages(call.tx, call.subject, [row]))[0];
    });

  /** As it is at the commit, with its newest operation. */
  async function answer(call: WriteCall, row: InstanceRow): Promise<StartInstanceResponse> {
    const [instance] = await instanceMessages(call.tx, call.subject, [row]);
    const operation = await getOperation(call.tx, row.operation_id);
    return { instance, operation: operation === undefined ? undefined : operationMessage(operation) };
  }

  type Act = (call: WriteCall, operations: Operations, instanceId: string, force: boolean) => Promise<InstanceRow>;
  async function act(
    request: { instanceId: string; requestId: string; force?: boolean },
    context: ServerContext,
    fn: Act,
  ): Promise<StartInstanceResponse> {
    const instanceId = parseId("i", request.instanceId, "instance_id");
    const force = request.force === true;
    // The three answers are of one shape.
    const keyed = { action: context.action, requestId: request.requestId, request, ...storedAs(StartInstanceResponse) };
    const { result } = await calls.write(context, keyed, async (call) => {
      if (force) call.afterCommit(() => signals.announce([FORCED_KEY]));
      return answer(call, await fn(call, operations, instanceId, force));
    });
    return result;
  }

  return bind(InstanceServiceDefinition, {
    async runInstance(request, context) {
      const wanted = checkRun(request);
      const { requestId } = request;
      const keyed = { action: context.action, requestId, request, ...storedAs(RunInstanceResponse) };
      const { result } = await network.withGroupSets(() =>
        calls.write(context, keyed, async (call) => answer(call, await runInstance(call, operations, wanted))),
      );
      return result;
    },

    async getInstance(request, context) {
      const instanceId = parseId("i", request.instanceId, "instance_id");
      return { instance: await read(context, instanceId) };
    },

    async listInstances(request, context) {
      const { ownerAccount, hostId, state } = request;
      if (ownerAccount !== "") parseId("acct", ownerAccount, "owner_account");
      if (hostId !== "") parseId("host", hostId, "host_id");
      if (!(Object.values(InstanceState) as number[]).includes(state))
        throw invalidArgument("state", `is ${state}`, "give one of InstanceState");
      const zoneId = request.zoneId === "" ? "" : slug(request.zoneId, "zone_id");
      const filter = { ownerAccount, hostId, state, zoneId, name: soughtName(request.name, "name") };
      const page = openPage(pages, context, request, filter);
      return calls.read(context, context.action, async (call) => {
        if (hostId !== "") call.requireSee(hostRef(hostId));
        const visibleTo = call.subject.kind === "operator" ? undefined : (call.subject.accountId ?? "");
        const rows = await listInstances(call.tx, { visibleTo, ...filter, after: page.after, limit: page.limit });
        const { items, nextPageToken } = page.cut(rows, (row) => row.instance_id);
        return { instances: await instanceMessages(call.tx, call.subject, items), nextPageToken };
      });
    },

    async updateInstance(request, context) {
      const update = checkInstanceUpdate(required(request.instance, "instance"), request.updateMask);
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result } = await calls.write(context, options, async (call) => {
        const [instance] = await instanceMessages(call.tx, call.subject, [await updateInstance(call, update)]);
        return instance;
      });
      return { instance: result ?? (await read(context, update.instanceId)) };
    },

    startInstance: (request, context) => act(request, context, startInstance),
    stopInstance: (request, context) => act(request, context, stopInstance),
    terminateInstance: (request, context) => act(request, context, terminateInstance),
  });
}
