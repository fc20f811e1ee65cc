import type { Command } from "commander";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { present, withSession } from "../session.ts";
import { regions, zones } from "../tables.ts";

/** zone, region. */
export function addTopologyCommands(program: Command): void {
  const zone = program.command("zone").description("zones: hosts that may fail together");
  zone
    .command("create <zone>")
    .description("make a zone, and its region if that is new (operator)")
    .requiredOption("--region <region>", "the region it is in")
    .addHelpText("after", "\nExample:\n  plenum zone create zone-c --region region-1")
    .action(
      withSession(async (session, zoneId: string, options: { region: string }) => {
        const answer = await session
          .client(TopologyServiceDefinition)
          .createZone({ requestId: session.requestId, zoneId, regionId: options.region });
        session.one(zones, present(answer.zone, "zone"));
      }),
    );
  zone
    .command("list")
    .description("list zones")
    .option("--region <region>", "only of this region", "")
    .action(
      withSession(async (session, options: { region: string }) => {
        const client = session.client(TopologyServiceDefinition);
        session.list(
          zones,
          await session.pages(
            (page) => client.listZones({ ...page, regionId: options.region }),
            (answer) => answer.zones,
          ),
        );
      }),
    );
  const region = program.command("region").description("regions: what contains zones");
  region
    .command("list")
    .description("list regions")
    .action(
      withSession(async (session, _options: object) => {
        const client = session.client(TopologyServiceDefinition);
        session.list(
          regions,
          await session.pages(
            (page) => client.listRegions(page),
            (answer) => answer.regions,
          ),
        );
      }),
    );
}
