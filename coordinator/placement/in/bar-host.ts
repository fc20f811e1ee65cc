import type { BarHostRequest, BarHostResponse, DeleteHostRequest, DeleteHostResponse } from "#gen/plenum/host/v1/host.ts";
import type { Host, UnbarHostRequest, UnbarHostResponse } from "#gen/plenum/host/v1/host.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import { displayName } from "#lib/rpc/name.ts";
import { storedNothing } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import type { Signals } from "../../interface/api.ts";
import { deleteHost } from "../delete-host.ts";
import { hostRef } from "../core/refs.ts";
import { barHost, unbarHost } from "../out/bar-store.ts";
import { hostMessages } from "./messages.ts";

/** Says that a host was barred (its id). A hint: the row is the truth, and whoever holds a stream of the host looks there every so often. */
export const BAR_SUBJECT = "plenum.int.bar";

const MAX_REASON = 256;

/** BarHost, UnbarHost and DeleteHost as in the proto. */
export function barCalls(
  { calls, bus, signals }: { calls: Calls; bus: Bus; signals: Signals },
  read: (context: ServerContext, hostId: string) => Promise<Host | undefined>,
) {
  return {
    async barHost(request: BarHostRequest, context: ServerContext): Promise<BarHostResponse> {
      const hostId = parseId("host", request.hostId, "host_id");
      const reason = displayName(request.reason, "reason", { min: 1, max: MAX_REASON });
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result: host } = await calls.write(context, options, async (call) => {
        call.note("reason", reason);
        call.require(context.action, hostRef(hostId));
        const row = await barHost(call.tx, hostId, reason);
        if (row === undefined) throw notFound("host", hostId);
        call.afterCommit(() => bus.publish(BAR_SUBJECT, Buffer.from(hostId)));
        return (await hostMessages(call.tx, [row]))[0];
      });
      return { host: host ?? (await read(context, hostId)) };
    },

    async unbarHost(request: UnbarHostRequest, context: ServerContext): Promise<UnbarHostResponse> {
      const hostId = parseId("host", request.hostId, "host_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result: host } = await calls.write(context, options, async (call) => {
        call.require(context.action, hostRef(hostId));
        const row = await unbarHost(call.tx, hostId);
        if (row === undefined) throw notFound("host", hostId);
        return (await hostMessages(call.tx, [row]))[0];
      });
      return { host: host ?? (await read(context, hostId)) };
    },

    async deleteHost(request: DeleteHostRequest, context: ServerContext): Promise<DeleteHostResponse> {
      const hostId = parseId("host", request.hostId, "host_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, options, async (call) => {
        call.require(context.action, hostRef(hostId));
        const confirmed = await deleteHost(call, hostId);
        call.afterCommit(() => signals.announce(confirmed));
      });
      return {};
    },
  };
}
