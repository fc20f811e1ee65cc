import type { Cluster } from "../up/cluster.ts";
import * as claims from "./claims.ts";
import { ADDRESS } from "./claims.ts";
import type { Cast } from "./claims.ts";
import { echoServer, webServer } from "./guest.ts";
import type { Report } from "./report.ts";
import * as stateful from "./stateful-claims.ts";
import { strangersAreNotHeard } from "./stranger-claim.ts";
import { channelOf, makeGroup, makeInterface, makeTenant, runGuest, VPC_CIDR } from "./tenant.ts";
import type { Guest, Tenant } from "./tenant.ts";

/** The demo itself, on a running cluster: makes the cast, then tests each claim. */
export async function playDemo(cluster: Cluster, report: Report): Promise<void> {
  const operator = channelOf(cluster, cluster.operatorToken);
  const nobody = channelOf(cluster, "made.up.token");
  const [west = "", east = ""] = cluster.hosts.map(({ zone }) => zone);
  const env = { PLENUM_DEMO: cluster.runName }; // by which leftovers would be found
  const run = async (tenant: Tenant, address: string, zone: string, says?: string, group?: string): Promise<Guest> => {
    const interfaceId = await makeInterface(tenant, address, group);
    return runGuest(tenant, operator, { zone, interfaces: [{ interfaceId }], argv: says === undefined ? undefined : webServer(says), env });
  };

  const [blue, green] = [await makeTenant(cluster, operator, "blue"), await makeTenant(cluster, operator, "green")];
  report.progress(`two accounts, blue and green, each with a VPC ${VPC_CIDR}: the same addresses`);
  const closedGroup = await makeGroup(blue.channel, blue.vpcId, "closed", []);
  const [blueClient, greenClient, blueWeb, greenWeb, closed] = await Promise.all([
    run(blue, ADDRESS.client, west),
    run(green, ADDRESS.client, west),
    run(blue, ADDRESS.web, east, "I am blue"),
    run(green, ADDRESS.web, east, "I am green"),
    run(blue, ADDRESS.closed, east, "I was closed", closedGroup),
    run(green, ADDRESS.greenOnly, east),
  ]);
  const cast: Cast = { blue, green, blueClient, greenClient, blueWeb, greenWeb, closed, closedGroup };
  report.progress(`six instances: the clients in ${west}, the servers in ${east}`);
  const waited = Math.max(
    await claims.untilReachable(blueClient.netns, ADDRESS.web),
    await claims.untilReachable(greenClient.netns, ADDRESS.web),
  );
  report.progress(`first replies after ${waited.toFixed(0)} ms`);

  await claims.pingAcrossHosts(report, cast);
  await claims.sameAddressesNeverMeet(report, cast);
  await claims.closedUntilAllowed(report, cast);
  const echoGroup = await makeGroup(blue.channel, blue.vpcId, "echo", []);
  const [echo, moving] = [await makeInterface(blue, ADDRESS.echo, echoGroup), await makeInterface(blue, ADDRESS.moving)];
  const [, , standby] = await Promise.all([
    runGuest(blue, operator, { zone: east, interfaces: [{ interfaceId: echo }], argv: echoServer(), env }),
    runGuest(blue, operator, { zone: east, interfaces: [{ interfaceId: moving }], argv: webServer("I am the first"), env }),
    run(blue, ADDRESS.standby, west, "I am the standby"),
  ]);
  await stateful.rulesReachConnections(report, cast, echoGroup);
  await stateful.recordMoves(report, cast, moving, standby);
  await stateful.spoofingIsDropped(report, cast);
  await strangersAreNotHeard(report, cluster, operator, cast);
  await claims.detachStopsTraffic(report, cast);
  const [goes, stays] = [await makeInterface(blue, ADDRESS.extra), await makeInterface(blue, ADDRESS.nobody)];
  const short = await runGuest(blue, operator, {
    zone: west,
    interfaces: [
      { interfaceId: goes, deleteOnTerminate: true },
      { interfaceId: stays, deleteOnTerminate: false },
    ],
  });
  await claims.terminateDeletes(report, cast, short, goes, stays);
  await claims.strangersSeeNothing(report, cast, nobody);
  for (const channel of [operator, nobody, blue.channel, green.channel]) channel.close();
}
