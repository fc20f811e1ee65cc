import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import type { Host } from "#gen/plenum/host/v1/host.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import { newJoinToken } from "#lib/auth/join-token.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { required } from "#lib/rpc/validate.ts";
import { durationMs, INSTALLATION, maskField, openPage, storedNothing } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import type { Signals } from "../../interface/api.ts";
import { requireZone } from "../../topology/api.ts";
import { hostRef } from "../core/refs.ts";
import { tokenHash } from "../join.ts";
import { listHosts, readHosts, setSchedulable } from "../out/host-store.ts";
import { insertJoinToken } from "../out/join-store.ts";
import { barCalls } from "./bar-host.ts";
import { hostMessages } from "./messages.ts";

const MINUTE_MS = 60_000;
const TTL = { minMs: MINUTE_MS, maxMs: 7 * 24 * 60 * MINUTE_MS, absentMs: 60 * MINUTE_MS };

/** HostService as in the proto. */
export function hostService(deps: {
  calls: Calls;
  pages: PageTokens;
  ca: CertificateAuthority;
  bus: Bus;
  signals: Signals;
}): ServiceBinding {
  const { calls, pages, ca } = deps;
  const read = (context: ServerContext, hostId: string): Promise<Host | undefined> =>
    calls.read(context, context.action, async (call) => {
      call.requireSee(hostRef(hostId));
      const row = (await readHosts(call.tx, [hostId])).get(hostId);
      if (row === undefined) throw notFound("host", hostId);
      return (await hostMessages(call.tx, [row]))[0];
    });

  return bind(HostServiceDefinition, {
    async createJoinToken(request, context) {
      const zoneId = soughtName(request.zoneId, "zone_id", { min: 1, max: 63 });
      const ttlMs = durationMs(request.ttl, "ttl", TTL);
      const { result } = await calls.write(context, { action: context.action }, async (call) => {
        call.require(context.action, INSTALLATION);
        await requireZone(call.tx, zoneId);
        const token = newJoinToken(ca.fingerprint);
        const expireTime = await insertJoinToken(call.tx, { hash: tokenHash(token), zoneId, ttlMs, createdBy: call.subject.principalId });
        return { token, expireTime };
      });
      return result;
    },

    async getHost(request, context) {
      const hostId = parseId("host", request.hostId, "host_id");
      return { host: await read(context, hostId) };
    },

    async updateHost(request, context) {
      const wanted = required(request.host, "host");
      const hostId = parseId("host", wanted.hostId, "host.host_id");
      maskField(request.updateMask, ["schedulable"]);
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result: host } = await calls.write(context, options, async (call) => {
        call.require(context.action, hostRef(hostId));
        const row = await setSchedulable(call.tx, hostId, wanted.schedulable);
        if (row === undefined) throw notFound("host", hostId);
        return (await hostMessages(call.tx, [row]))[0];
      });
      return { host: host ?? (await read(context, hostId)) };
    },

    ...barCalls(deps, read),

    async listHosts(request, context) {
      const zoneId = soughtName(request.zoneId, "zone_id", { max: 63 });
      const page = openPage(pages, context, request, { zoneId });
      return calls.read(context, context.action, async (call) => {
        // Operator only; to others the list is empty, as every list of what one may not see.
        const rows = call.subject.kind === "operator" ? await listHosts(call.tx, { zoneId, after: page.after, limit: page.limit }) : [];
        const { items, nextPageToken } = page.cut(rows, (row) => row.host_id);
        return { hosts: await hostMessages(call.tx, items), nextPageToken };
      });
    },
  });
}
