import { expect } from "vitest";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import type { FakeHost } from "./fake-host.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

/** A network of two hosts, for tests of what ends without the word of one of them (C7). */
export interface Scene extends TestNetwork {
  readonly clients: Clients;
  readonly accountId: string;
  /** Where `lost` is. */
  readonly zoneId: string;
  /** Falls silent. */
  readonly lost: FakeHost;
  /** Another host of the network. */
  readonly other: FakeHost;
  readonly instanceId: string;
  readonly interfaceId: string;
}

let zones = 0;

/** An instance on a host that hears nothing any more, and one on another host of the network. */
export async function scene(world: World): Promise<Scene> {
  zones += 1;
  const [zoneId, otherZone] = [`force-${zones}`, `force-other-${zones}`];
  const [lost, other] = [await world.host(zoneId), await world.host(otherZone)];
  const { clients, accountId } = await world.account();
  const network = await world.network(clients);
  const run = async (zone: string) => {
    const { instance, operation } = await clients.instances.runInstance({
      zoneId: zone,
      interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId } }, deleteOnTerminate: false }],
    });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    return instance?.instanceId ?? "";
  };
  const instanceId = await run(zoneId);
  await run(otherZone);
  const { interfaces } = await clients.interfaces.listInterfaces({ filter: { instanceId } });
  return { ...network, clients, accountId, zoneId, lost, other, instanceId, interfaceId: interfaces[0]?.interfaceId ?? "" };
}

export const seconds = (value: number) => ({ seconds: BigInt(Math.floor(value)), nanos: Math.round((value % 1) * 1e9) });
export const detached = (attachment: Attachment | undefined) => attachment?.conditions.find((one) => one.type === "Detached");

export async function detach({ clients, interfaceId }: Scene, options: { force: boolean; wait?: number }): Promise<Attachment | undefined> {
  const { attachments } = await clients.interfaces.detachInterface({
    target: { $case: "interfaceId", value: interfaceId },
    waitTimeout: seconds(options.wait ?? 0.3),
    force: options.force,
  });
  return attachments[0];
}

/** The host hears nothing; its lease ends now or later. */
export async function lose(world: World, { lost }: Scene, silentFor: number): Promise<void> {
  lost.behaviour.acknowledge = false;
  await world.age(lost.hostId, silentFor);
}

/** The host says that it has applied the network's newest version. */
export async function catchUp(world: World, host: FakeHost, networkId: bigint): Promise<void> {
  host.behaviour.networkVersions.set(networkId, await world.level(`network:${networkId}`));
  host.acknowledge([]);
}
