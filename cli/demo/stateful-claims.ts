import { setTimeout as delay } from "node:timers/promises";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState, attachmentStateToJSON } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition, WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { present } from "../session.ts";
import { ADDRESS, untilReachable } from "./claims.ts";
import type { Cast } from "./claims.ts";
import { allAnswered, httpGet, noneAnswered, ping, pingAs, showHttp, showPing, talk } from "./guest.ts";
import type { Report } from "./report.ts";
import { VPC_CIDR } from "./tenant.ts";
import type { Guest } from "./tenant.ts";

const ECHO_PORT = 7;
/** A change is with all hosts well within this; a machine that does other things may need it. */
const CHANGE_LIMIT_MS = 10_000;
/** Twenty lines would have come back in this time. */
const SILENCE_MS = 1_000;

/** A rule that goes takes the connections along that it had let begin; one that comes lets them go on. */
export async function rulesReachConnections(report: Report, cast: Cast, group: string): Promise<void> {
  const groups = cast.blue.channel.client(SecurityGroupServiceDefinition);
  const echo = { direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: ECHO_PORT, portTo: ECHO_PORT };
  const allow = { ...echo, peer: { $case: "cidr" as const, value: VPC_CIDR }, description: "" };
  const set = (rules: (typeof allow)[]) => groups.replaceSecurityGroupRules({ securityGroupId: group, rules });
  await set([allow]); // no egress rule at all: answers need none
  const conversation = talk(cast.blueClient.netns, ADDRESS.echo, ECHO_PORT);
  try {
    const flowed = await conversation.answeredMore(10, CHANGE_LIMIT_MS);
    await set([]);
    let before = -1;
    for (const end = performance.now() + CHANGE_LIMIT_MS; performance.now() < end && before !== conversation.answered();) {
      before = conversation.answered();
      await conversation.answeredMore(before, SILENCE_MS);
    }
    const cut = before === conversation.answered();
    await set([allow]);
    const again = await conversation.answeredMore(before, CHANGE_LIMIT_MS);
    report.claim({
      title: `Rules reach a connection that is open already (one TCP connection to ${ADDRESS.echo}:${ECHO_PORT}, an ingress rule, no egress rule)`,
      measured: `rule taken away: ${cut ? `silent after ${before} lines` : "IT GOES ON"}`,
      holds: cut,
      control: `before: ${flowed ? "lines came back" : "no line came back"}; rule back: the same connection ${again ? "goes on" : "stays silent"}`,
      controlHolds: flowed && again,
    });
  } finally {
    await conversation.close();
  }
}

/** The record keeps its address and its rules wherever it is attached; its peers are told nothing. */
export async function recordMoves(report: Report, cast: Cast, interfaceId: string, standby: Guest): Promise<void> {
  const interfaces = cast.blue.channel.client(InterfaceServiceDefinition);
  const url = `http://${ADDRESS.moving}/`;
  await untilReachable(cast.blueClient.netns, ADDRESS.moving);
  const first = await httpGet(cast.blueClient.netns, url);
  await interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
  const between = await ping(cast.blueClient.netns, ADDRESS.moving);
  const { attachment } = await interfaces.attachInterface({
    spec: { interfaceId, instanceId: standby.instanceId },
    wait: WaitFor.REACHABLE,
  });
  const state = attachment?.state ?? AttachmentState.UNSPECIFIED;
  const second = await httpGet(cast.blueClient.netns, url);
  report.claim({
    title: `The same record on another instance on another host: the same address, found there by its peers (${url})`,
    measured: `attached again (${attachmentStateToJSON(state)}): ${showHttp(second)}`,
    holds: second === "I am the standby",
    control: `before: ${showHttp(first)}; in between: ${showPing(between)}`,
    controlHolds: first === "I am the first" && noneAnswered(between),
  });
}

/** A guest may be root in its namespace, and still speaks only as itself. */
export async function spoofingIsDropped(report: Report, cast: Cast): Promise<void> {
  const drops = async (): Promise<bigint> => {
    const answer = await cast.blue.channel.client(InterfaceServiceDefinition).getInterface({ interfaceId: cast.blueClient.interfaceId });
    return present(answer.interface, "interface").traffic?.dropsByReason["SOURCE_ADDRESS"] ?? 0n;
  };
  const before = await drops();
  const spoofed = await pingAs(cast.blueClient.netns, ADDRESS.nobody, ADDRESS.web);
  let counted = 0n;
  for (const end = performance.now() + CHANGE_LIMIT_MS; performance.now() < end && counted < BigInt(spoofed.sent);) {
    counted = (await drops()) - before;
    await delay(100); // hosts report each second
  }
  const own = await ping(cast.blueClient.netns, ADDRESS.web);
  report.claim({
    title: `A guest that sends from an address that is not its own is not heard, and counted (${ADDRESS.nobody} from ${ADDRESS.client})`,
    measured: `${showPing(spoofed)}; ${counted} drops SOURCE_ADDRESS on its interface`,
    holds: noneAnswered(spoofed) && counted === BigInt(spoofed.sent),
    control: `from its own address: ${showPing(own)}`,
    controlHolds: allAnswered(own),
  });
}
