import { CreateZoneResponse, TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { INSTALLATION, openPage, slug, storedAs } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { ensureZone, listRegions, listZones } from "../out/zones.ts";

export function topologyService({ calls, pages }: { calls: Calls; pages: PageTokens }): ServiceBinding {
  return bind(TopologyServiceDefinition, {
    async createZone(request, context) {
      const zoneId = slug(request.zoneId, "zone_id");
      const regionId = slug(request.regionId, "region_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreateZoneResponse) };
      const { result } = await calls.write(context, options, async (call): Promise<CreateZoneResponse> => {
        call.require(context.action, INSTALLATION);
        const zone = await ensureZone(call.tx, { zoneId, regionId });
        if (zone.regionId !== regionId) {
          throw alreadyExists("NAME_TAKEN", `zone ${zoneId} is in region ${zone.regionId} already; choose another name`, {
            name: zoneId,
            region_id: zone.regionId,
          });
        }
        call.concerns({ kind: "zone", id: zoneId, ownerAccount: "" });
        return { zone };
      });
      return result;
    },

    async listRegions(request, context) {
      const page = openPage(pages, context, request);
      return calls.read(context, context.action, async (call) => {
        const { items, nextPageToken } = page.cut(await listRegions(call.tx, page), (id) => id);
        return { regions: items.map((regionId) => ({ regionId })), nextPageToken };
      });
    },

    async listZones(request, context) {
      const regionId = request.regionId === "" ? "" : slug(request.regionId, "region_id");
      const page = openPage(pages, context, request, { regionId });
      return calls.read(context, context.action, async (call) => {
        const { items, nextPageToken } = page.cut(await listZones(call.tx, { regionId, ...page }), (zone) => zone.zoneId);
        return { zones: [...items], nextPageToken };
      });
    },
  });
}
