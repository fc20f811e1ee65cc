import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState, attachmentStateToJSON, InterfaceState, interfaceStateToJSON } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition, WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { waitForOperation } from "../operation-wait.ts";
import { present } from "../session.ts";
import { allAnswered, httpGet, noneAnswered, ping, showHttp, showPing } from "./guest.ts";
import type { Report } from "./report.ts";
import { OPEN_RULES } from "./tenant.ts";
import type { Guest, Tenant } from "./tenant.ts";

export const ADDRESS = {
  client: "10.0.1.10",
  web: "10.0.1.20",
  greenOnly: "10.0.1.30",
  closed: "10.0.1.40",
  extra: "10.0.1.50",
  echo: "10.0.1.60",
  moving: "10.0.1.70",
  standby: "10.0.1.80",
  nobody: "10.0.1.99",
} as const;
const WEB_URL = `http://${ADDRESS.web}/`;

/** Who is there when the claims are tested. The same addresses in both VPCs. */
export interface Cast {
  blue: Tenant;
  green: Tenant;
  blueClient: Guest;
  blueWeb: Guest;
  greenClient: Guest;
  greenWeb: Guest;
  /** Carries a group without rules. */
  closed: Guest;
  closedGroup: string;
}

/** Mappings reach the other host a moment after the instance runs: one reply is waited for, so that what follows measures traffic. */
export async function untilReachable(netns: string, address: string, limitMs = 10_000): Promise<number> {
  const start = performance.now();
  while (performance.now() - start < limitMs) {
    if ((await ping(netns, address, 1)).received === 1) break;
  }
  return performance.now() - start;
}

export async function pingAcrossHosts(report: Report, cast: Cast): Promise<void> {
  const { blueClient, blueWeb } = cast;
  const answered = await ping(blueClient.netns, ADDRESS.web, 10);
  const control = await ping(blueClient.netns, ADDRESS.nobody);
  report.claim({
    title: `Ping crosses hosts inside a VPC (${ADDRESS.client} on one host, ${ADDRESS.web} on another)`,
    measured: `${showPing(answered)}; hosts ${blueClient.hostId === blueWeb.hostId ? "are THE SAME" : "differ"}`,
    holds: allAnswered(answered) && blueClient.hostId !== blueWeb.hostId,
    control: `${ADDRESS.nobody}, which nothing is attached to: ${showPing(control)}`,
    controlHolds: noneAnswered(control),
  });
}

export async function sameAddressesNeverMeet(report: Report, cast: Cast): Promise<void> {
  const [fromBlue, fromGreen] = await Promise.all([httpGet(cast.blueClient.netns, WEB_URL), httpGet(cast.greenClient.netns, WEB_URL)]);
  report.claim({
    title: `HTTP crosses hosts, and the same address is another server in each VPC (${WEB_URL} in blue and in green)`,
    measured: `asked from blue: ${showHttp(fromBlue)}`,
    holds: fromBlue === "I am blue",
    control: `asked from green: ${showHttp(fromGreen)}`,
    controlHolds: fromGreen === "I am green",
  });
  const blueTries = await ping(cast.blueClient.netns, ADDRESS.greenOnly);
  const greenTries = await ping(cast.greenClient.netns, ADDRESS.greenOnly);
  report.claim({
    title: `Nothing passes between the VPCs (${ADDRESS.greenOnly} is attached in green only)`,
    measured: `from blue: ${showPing(blueTries)}`,
    holds: noneAnswered(blueTries),
    control: `from green: ${showPing(greenTries)}`,
    controlHolds: allAnswered(greenTries),
  });
}

export async function closedUntilAllowed(report: Report, cast: Cast): Promise<void> {
  const { blue, blueClient } = cast;
  const url = `http://${ADDRESS.closed}/`;
  const [closedPing, closedHttp] = [await ping(blueClient.netns, ADDRESS.closed), await httpGet(blueClient.netns, url)];
  await blue.channel
    .client(SecurityGroupServiceDefinition)
    .replaceSecurityGroupRules({ securityGroupId: cast.closedGroup, rules: [...OPEN_RULES] });
  await untilReachable(blueClient.netns, ADDRESS.closed);
  const [openPing, openHttp] = [await ping(blueClient.netns, ADDRESS.closed), await httpGet(blueClient.netns, url)];
  report.claim({
    title: `An interface that no rule allows passes nothing (${ADDRESS.closed})`,
    measured: `without rules: ${showPing(closedPing)}; HTTP: ${showHttp(closedHttp)}`,
    holds: noneAnswered(closedPing) && closedHttp === undefined,
    control: `its group's rules replaced: ${showPing(openPing)}; HTTP: ${showHttp(openHttp)}`,
    controlHolds: allAnswered(openPing) && openHttp === "I was closed",
  });
}

export async function detachStopsTraffic(report: Report, cast: Cast): Promise<void> {
  const { green, greenClient, greenWeb } = cast;
  const interfaces = green.channel.client(InterfaceServiceDefinition);
  const before = await ping(greenClient.netns, ADDRESS.web);
  const { attachments } = await interfaces.detachInterface({
    target: { $case: "interfaceId", value: greenWeb.interfaceId },
    wait: WaitFor.PROGRAMMED,
  });
  const state = attachments[0]?.state ?? AttachmentState.UNSPECIFIED;
  const after = await ping(greenClient.netns, ADDRESS.web);
  const { attachment } = await interfaces.attachInterface({
    spec: { interfaceId: greenWeb.interfaceId, instanceId: greenWeb.instanceId },
    wait: WaitFor.REACHABLE,
  });
  const again = await ping(greenClient.netns, ADDRESS.web);
  report.claim({
    title: "Detaching stops traffic, and the record takes its address along when it is attached again",
    measured: `detached (${attachmentStateToJSON(state)}): ${showPing(after)}`,
    holds: state === AttachmentState.DETACHED && noneAnswered(after),
    control: `before: ${showPing(before)}; attached again (${attachmentStateToJSON(attachment?.state ?? AttachmentState.UNSPECIFIED)}): ${showPing(again)}`,
    controlHolds: allAnswered(before) && allAnswered(again),
  });
}

/** What reading a record says: its state, or why it cannot be read. */
async function recordState(channel: RpcChannel, interfaceId: string): Promise<string> {
  try {
    const answer = await channel.client(InterfaceServiceDefinition).getInterface({ interfaceId });
    return interfaceStateToJSON(present(answer.interface, "interface").state);
  } catch (error) {
    const failure = callFailure(error);
    if (failure === undefined) throw error;
    return failure.status;
  }
}

export async function terminateDeletes(report: Report, cast: Cast, guest: Guest, goes: string, stays: string): Promise<void> {
  const { channel } = cast.blue;
  const before = await recordState(channel, goes);
  const { operation } = await channel.client(InstanceServiceDefinition).terminateInstance({ instanceId: guest.instanceId });
  await waitForOperation(channel.client(OperationServiceDefinition), present(operation, "operation").operationId, 30_000);
  const [after, kept] = [await recordState(channel, goes), await recordState(channel, stays)];
  report.claim({
    title: "Terminating an instance deletes the interface that says so, and no other",
    measured: `delete_on_terminate: ${before} → ${after}`,
    holds: before === interfaceStateToJSON(InterfaceState.IN_USE) && after === "NOT_FOUND",
    control: `the instance's other interface: ${kept}`,
    controlHolds: kept === interfaceStateToJSON(InterfaceState.AVAILABLE),
  });
}

export async function strangersSeeNothing(report: Report, cast: Cast, nobody: RpcChannel): Promise<void> {
  const { interfaceId } = cast.blueWeb;
  const [stranger, noToken, owner] = [
    await recordState(cast.green.channel, interfaceId),
    await recordState(nobody, interfaceId),
    await recordState(cast.blue.channel, interfaceId),
  ];
  report.claim({
    title: "Another account's interface does not exist for a stranger, and without a valid token there is no answer at all",
    measured: `green reads blue's: ${stranger}; a made-up token: ${noToken}`,
    holds: stranger === "NOT_FOUND" && noToken === "UNAUTHENTICATED",
    control: `blue reads it: ${owner}`,
    controlHolds: owner === interfaceStateToJSON(InterfaceState.IN_USE),
  });
}
