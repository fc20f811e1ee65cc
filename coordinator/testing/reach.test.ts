import { afterAll, beforeAll, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { silentLog } from "#lib/log/log.ts";
import { COORDINATOR } from "../call/api.ts";
import { attachmentMessages } from "../interface/in/messages.ts";
import { readAttachments } from "../interface/out/attachment-store.ts";
import { instanceDirectory } from "../placement/api.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

/** A network with a running instance on each of two hosts; the second host says nothing from now on. */
async function twoHosts(name: string) {
  const { clients } = await world.account();
  const network = await world.network(clients);
  const run = async (zoneId: string): Promise<string> => {
    const { instance, operation } = await clients.instances.runInstance({
      zoneId,
      interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId } } }],
    });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    return instance?.instanceId ?? "";
  };
  const [host, quiet] = [await world.host(`${name}-a`), await world.host(`${name}-b`)];
  const [instanceId, onQuiet] = [await run(`${name}-a`), await run(`${name}-b`)];
  host.behaviour.networkVersions.set(network.networkId, 1_000_000n);
  quiet.behaviour.acknowledge = false;
  return { ...network, clients, host, quiet, instanceId, onQuiet };
}

const attach = async (clients: Clients, subnetId: string, instanceId: string) => {
  const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId } });
  const { attachment } = await clients.interfaces.attachInterface({
    spec: { interfaceId: made?.interfaceId, instanceId },
    wait: WaitFor.REACHABLE,
    waitTimeout: { seconds: 1n, nanos: 0 },
  });
  return attachment?.conditions.find((one) => one.type === "Reachable");
};

test("REACHABLE waits for a host that carries something, not for one that only lets go", async () => {
  const { clients, subnetId, instanceId, onQuiet } = await twoHosts("lets-go");
  expect(await attach(clients, subnetId, instanceId)).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
  await clients.instances.stopInstance({ instanceId: onQuiet });
  expect(await attach(clients, subnetId, instanceId)).toMatchObject({ status: ConditionStatus.TRUE, reason: "AllHostsApplied" });
});

test("who waits for a network is woken by whatever leaves it", async () => {
  const { clients, networkId, quiet, onQuiet } = await twoHosts("leaves");
  const keys: string[] = [];
  const listener = world.hub.connect(silentLog());
  listener.subscribe("plenum.int.applied", ({ data }) => void keys.push(...Buffer.from(data).toString("utf8").split(" ")));
  await clients.instances.stopInstance({ instanceId: onQuiet });
  await expect.poll(() => [...quiet.attachments.values()].map((item) => item.wanted)).toEqual([Wanted.ABSENT]);
  expect(keys).toEqual([]);
  quiet.acknowledge();
  await expect.poll(() => keys).toContain(`network:${networkId}`);
  const [attachmentId = ""] = quiet.attachments.keys();
  expect(keys).toContain(attachmentId);
  expect((await clients.interfaces.getAttachment({ attachmentId })).attachment?.state).toBe(AttachmentState.ATTACHING);
  await listener.close();
});

test("a list reads once what of a network its slow hosts lack, however many attachments it shows", async () => {
  const { clients, subnetId, instanceId, quiet } = await twoHosts("lacks");
  for (let more = 0; more < 3; more += 1) {
    const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId } });
    await clients.interfaces.attachInterface({ spec: { interfaceId: made?.interfaceId, instanceId }, wait: WaitFor.PROGRAMMED });
  }
  const rows = await readAttachments(world.db.kysely, { instanceIds: [instanceId] });
  let statements = 0;
  const counted = world.db.kysely.withPlugin({
    transformQuery({ node }) {
      statements += 1;
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  });
  const messages = await attachmentMessages(counted, instanceDirectory, COORDINATOR, rows);
  const reachable = messages.map(({ conditions }) => conditions.find((one) => one.type === "Reachable"));
  expect(reachable.map((one) => one?.reason)).toEqual(Array.from({ length: 4 }, () => "HostsBehind"));
  expect(reachable.every((one) => one?.message.includes(quiet.hostId))).toBe(true);
  expect(statements).toBe(2);
});
