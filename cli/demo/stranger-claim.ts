import { setTimeout as delay } from "node:timers/promises";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { present } from "../session.ts";
import type { Cluster } from "../up/cluster.ts";
import { ADDRESS } from "./claims.ts";
import type { Cast } from "./claims.ts";
import { sendDatagrams } from "./guest.ts";
import type { Report } from "./report.ts";
import { addressOnSubstrate } from "./stranger.ts";
import { OPEN_RULES, VPC_CIDR } from "./tenant.ts";
import { tunnelPacket } from "./tunnel-packet.ts";

const VXLAN_PORT = 4789;
const UDP_PORT = 5000;
const PACKETS = 5;
/** Hosts report their counters each second; a machine that does other things may need longer. */
const REPORT_LIMIT_MS = 10_000;

/** Asks until the number is there or the time is over; what it was last. */
async function until(wanted: bigint, ask: () => Promise<bigint>): Promise<bigint> {
  let value = await ask();
  for (const end = performance.now() + REPORT_LIMIT_MS; performance.now() < end && value < wanted;) {
    await delay(100);
    value = await ask();
  }
  return value;
}

/** Who can send to a host's tunnel port is not yet heard: hosts know which host holds an address (D3). */
export async function strangersAreNotHeard(report: Report, cluster: Cluster, operator: RpcChannel, cast: Cast): Promise<void> {
  const { blue, blueClient, closed } = cast;
  const interfaces = blue.channel.client(InterfaceServiceDefinition);
  const allow = { direction: Direction.INGRESS, protocol: Protocol.UDP, portFrom: UDP_PORT, portTo: UDP_PORT, description: "" };
  await blue.channel.client(SecurityGroupServiceDefinition).replaceSecurityGroupRules({
    securityGroupId: cast.closedGroup,
    rules: [...OPEN_RULES, { ...allow, peer: { $case: "cidr", value: VPC_CIDR } }],
  });
  const { vpc } = await blue.channel.client(VpcServiceDefinition).getVpc({ vpcId: blue.vpcId });
  const { networkId } = present(vpc, "vpc");
  const mappings = operator.client(MappingServiceDefinition);
  const [sender, target] = await Promise.all(
    [ADDRESS.client, ADDRESS.closed].map(async (address) => {
      const { mapping, vni } = await mappings.lookupMapping({ networkId, address });
      return { vni, ...present(mapping?.targets[0], `mapping of ${address}`) };
    }),
  );
  const packet = tunnelPacket({
    vni: target!.vni,
    wireId: target!.wireId,
    groupSetId: sender!.groupSetId,
    source: ADDRESS.client,
    destination: ADDRESS.closed,
    port: UDP_PORT,
    payload: "heard?",
  });
  const delivered = async (): Promise<bigint> => {
    const answer = await interfaces.getInterface({ interfaceId: closed.interfaceId });
    return present(answer.interface, "interface").traffic?.ingressPackets ?? 0n;
  };
  const dropped = async (): Promise<bigint> => {
    const { host } = await operator.client(HostServiceDefinition).getHost({ hostId: closed.hostId });
    return present(host, "host").hostDropsByReason["UNKNOWN_SENDER_HOST"] ?? 0n;
  };
  const holder = present(
    cluster.hosts.find(({ hostId }) => hostId === blueClient.hostId),
    "the client's host",
  );
  const fromHolder = (count: number): Promise<void> => sendDatagrams(holder.netns, target!.hostAddress, VXLAN_PORT, packet, count);

  const [deliveredFirst, droppedFirst] = [await delivered(), await dropped()];
  const stranger = addressOnSubstrate(cluster);
  try {
    await sendDatagrams(stranger.netns, target!.hostAddress, VXLAN_PORT, packet, PACKETS);
  } finally {
    stranger.remove();
  }
  const drops = (await until(droppedFirst + BigInt(PACKETS), dropped)) - droppedFirst;
  const heard = (await delivered()) - deliveredFirst;
  await fromHolder(PACKETS);
  const control = (await until(deliveredFirst + heard + BigInt(PACKETS), delivered)) - deliveredFirst - heard;
  report.claim({
    title: `A machine on the substrate that is no host is not heard (tunnel packets from ${stranger.address}, as if from ${ADDRESS.client})`,
    measured: `${heard} of ${PACKETS} delivered; ${drops} drops UNKNOWN_SENDER_HOST on the receiving host`,
    holds: heard === 0n && drops === BigInt(PACKETS),
    control: `the same bytes from the host that holds ${ADDRESS.client}: ${control} of ${PACKETS} delivered`,
    controlHolds: control === BigInt(PACKETS),
  });
}
