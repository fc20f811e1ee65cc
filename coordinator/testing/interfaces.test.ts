import { Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// N1, N2, C9: records, what they keep, and the addresses that they name.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const failure = async (call: Promise<unknown>) =>
  callFailure(
    await call.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

async function scene(subnet?: string) {
  const account = await world.account();
  return { ...account, ...(await world.network(account.clients, "10.0.0.0/16", subnet)) };
}

describe("addresses", () => {
  test("with N free, N concurrent creates succeed, all different, and one more is refused", async () => {
    const { clients, subnetId } = await scene("10.0.9.0/28");
    const { subnet } = await subnetOf(subnetId);
    const free = Number(subnet?.availableAddressCount);
    expect(free).toBe(12);
    const made = await Promise.all(Array.from({ length: free }, () => clients.interfaces.createInterface({ spec: { subnetId } })));
    const addresses = made.flatMap((one) => one.interface?.privateAddresses ?? []);
    expect(new Set(addresses).size).toBe(free);
    expect(await failure(clients.interfaces.createInterface({ spec: { subnetId } }))).toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
      reason: "SUBNET_EXHAUSTED",
      facts: { subnet: subnetId },
    });
    expect(Number((await subnetOf(subnetId)).subnet?.availableAddressCount)).toBe(0);
    await clients.interfaces.deleteInterface({ interfaceId: made[5]?.interface?.interfaceId });
    const again = await clients.interfaces.createInterface({ spec: { subnetId } });
    expect(again.interface?.privateAddresses).toEqual(made[5]?.interface?.privateAddresses);
  });

  test("one let go rests as long as others are free", async () => {
    const { clients, subnetId } = await scene("10.0.9.0/28");
    const create = async () => (await clients.interfaces.createInterface({ spec: { subnetId } })).interface;
    const first = await create();
    await clients.interfaces.deleteInterface({ interfaceId: first?.interfaceId });
    expect((await create())?.privateAddresses).not.toEqual(first?.privateAddresses);
  });

  test("must be the subnet's, and its to give; faults by index", async () => {
    const { clients, subnetId } = await scene();
    const specs = ["10.0.1.50", "10.0.2.1", "10.0.1.1", "10.0.1.255", "nonsense"].map((address) => ({
      subnetId,
      privateAddresses: [address],
    }));
    const error = await failure(clients.interfaces.batchCreateInterfaces({ specs: specs.slice(0, 4) }));
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT, reason: "ADDRESS_NOT_IN_SUBNET" });
    expect(error?.violations.map((one) => one.field)).toEqual([1, 2, 3].map((index) => `specs[${index}].private_addresses[0]`));
    expect(await failure(clients.interfaces.batchCreateInterfaces({ specs }))).toMatchObject({
      violations: [{ field: "specs[4].private_addresses[0]" }],
    });
    expect((await clients.interfaces.listInterfaces({})).interfaces).toEqual([]);
  });

  test("two records may name one", async () => {
    const { clients, subnetId } = await scene();
    const spec = { subnetId, privateAddresses: ["10.0.1.40", "10.0.1.41"] };
    const { interfaces } = await clients.interfaces.batchCreateInterfaces({ specs: [spec, spec, { subnetId }] });
    expect(interfaces.map((one) => one.privateAddresses.length)).toEqual([2, 2, 1]);
    expect(interfaces[0]?.privateAddresses).toEqual(interfaces[1]?.privateAddresses);
  });
});

async function subnetOf(subnetId: string) {
  const { SubnetServiceDefinition } = await import("#gen/plenum/network/v1/subnet.ts");
  return (await world.client(SubnetServiceDefinition)).getSubnet({ subnetId });
}

describe("records", () => {
  test("keep what they were given", async () => {
    const { clients, accountId, subnetId, vpcId, defaultGroup } = await scene();
    const { interface: made } = await clients.interfaces.createInterface({
      spec: { subnetId, description: "web", tags: { tier: "front" }, sourceDestCheck: false },
    });
    const { interface: read } = await clients.interfaces.getInterface({ interfaceId: made?.interfaceId });
    expect(read).toEqual(made);
    expect(read).toMatchObject({
      ownerAccount: accountId,
      payerAccount: accountId,
      vpcId,
      subnetId,
      securityGroupIds: [defaultGroup],
      description: "web",
      tags: { tier: "front" },
      sourceDestCheck: false,
      state: InterfaceState.AVAILABLE,
      attachments: [],
      deletionBlockers: [],
      generation: 1n,
      createdBy: "alice",
    });
  });

  test("have every property that was chosen for them, attached to nothing, to something, and to nothing again", async () => {
    const { clients, accountId, subnetId, vpcId } = await scene();
    const group = (await clients.groups.createSecurityGroup({ vpcId, name: "g" })).securityGroup?.securityGroupId ?? "";
    const chosen = {
      subnetId,
      privateAddresses: ["10.0.1.77", "10.0.1.78"],
      securityGroupIds: [group],
      ...{ name: "front", description: "web", tags: { tier: "front" }, dnsServers: ["10.0.0.2"], sourceDestCheck: false },
    };
    const payer = await world.account();
    const spec = { ...chosen, payerAccount: payer.accountId };
    const interfaceId = (await world.operator.interfaces.createInterface({ spec })).interface?.interfaceId ?? "";
    const instanceId = (await clients.instances.runInstance({ stopped: true })).instance?.instanceId ?? "";
    const read = async () => (await clients.interfaces.getInterface({ interfaceId })).interface;
    const properties = { ...chosen, ownerAccount: accountId, payerAccount: payer.accountId, vpcId };
    expect(await read()).toMatchObject({ ...properties, state: InterfaceState.AVAILABLE });
    await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
    expect(await read()).toMatchObject({ ...properties, state: InterfaceState.IN_USE });
    await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    await clients.instances.terminateInstance({ instanceId });
    expect(await read()).toMatchObject({ ...properties, state: InterfaceState.AVAILABLE });
  });

  test("a thousand at once; one fault and there is none", async () => {
    const { clients, subnetId, vpcId } = await scene("10.0.16.0/20");
    const specs = Array.from({ length: 1_000 }, (_, index) => ({ subnetId, description: `n${index}` }));
    const requestId = "thousand";
    const made = await clients.interfaces.batchCreateInterfaces({ requestId, specs });
    expect(new Set(made.interfaces.flatMap((one) => one.privateAddresses)).size).toBe(1_000);
    expect(made.interfaces.map((one) => one.description)).toEqual(specs.map((spec) => spec.description));
    expect(await clients.interfaces.batchCreateInterfaces({ requestId, specs })).toEqual(made);
    expect(await failure(clients.interfaces.batchCreateInterfaces({ specs: [...specs, { subnetId }] }))).toMatchObject({
      reason: "LIMIT_EXCEEDED",
    });
    const seen: string[] = [];
    for (let pageToken = "", first = true; first || pageToken !== ""; first = false) {
      const page = await clients.interfaces.listInterfaces({ pageSize: 333, pageToken, filter: { vpcId } });
      seen.push(...page.interfaces.map((one) => one.interfaceId));
      pageToken = page.nextPageToken;
    }
    expect(seen).toEqual(made.interfaces.map((one) => one.interfaceId).toSorted());
  });

  test("pages are sealed, filters hold together", async () => {
    const { clients, subnetId, vpcId, accountId } = await scene();
    const other = await world.network(clients, "10.1.0.0/16", "10.1.1.0/24");
    await clients.interfaces.batchCreateInterfaces({ specs: [{ subnetId }, { subnetId }, { subnetId: other.subnetId }] });
    const { nextPageToken } = await clients.interfaces.listInterfaces({ pageSize: 1, filter: { vpcId } });
    expect(nextPageToken).not.toBe("");
    const stolen = clients.interfaces.listInterfaces({ pageSize: 1, pageToken: nextPageToken, filter: { vpcId: other.vpcId } });
    expect(await failure(stolen)).toMatchObject({ code: Status.INVALID_ARGUMENT, reason: "BAD_PAGE_TOKEN" });
    const count = async (filter: object) => (await clients.interfaces.listInterfaces({ filter })).interfaces.length;
    expect(await count({ subnetId })).toBe(2);
    expect(await count({ ownerAccount: accountId })).toBe(3);
    expect(await count({ vpcId, subnetId: other.subnetId })).toBe(0);
    expect(await count({ state: InterfaceState.IN_USE })).toBe(0);
    expect(await count({ state: InterfaceState.AVAILABLE })).toBe(3);
  });

  test("are changed by mask and etag; an attached one's host hears of groups and checks", async () => {
    const zoneId = "update";
    const host = await world.host(zoneId);
    const { clients, subnetId, vpcId, networkId } = await scene();
    const { operation } = await clients.instances.runInstance({
      zoneId,
      interfaces: [{ source: { $case: "create", value: { subnetId } } }],
    });
    await world.finished(clients, operation?.operationId);
    const [before] = host.attachments.values();
    const { interface: read } = { interface: (await clients.interfaces.listInterfaces({ filter: { subnetId } })).interfaces[0] };
    const interfaceId = read?.interfaceId ?? "";
    const { interface: described } = await clients.interfaces.updateInterface({
      interface: { interfaceId, description: "new", etag: read?.etag, tags: { ignored: "yes" } },
      updateMask: ["description"],
    });
    expect(described).toMatchObject({ description: "new", tags: {}, generation: 2n });
    expect(
      await failure(clients.interfaces.updateInterface({ interface: { interfaceId, etag: read?.etag }, updateMask: ["tags"] })),
    ).toMatchObject({
      code: Status.ABORTED,
      reason: "STALE_ETAG",
    });
    for (const updateMask of [[], ["private_addresses"], ["nonsense"]]) {
      expect(await failure(clients.interfaces.updateInterface({ interface: { interfaceId }, updateMask }))).toMatchObject({
        code: Status.INVALID_ARGUMENT,
      });
    }
    expect(host.attachments.get(before?.attachmentId ?? "")?.generation).toBe(1n);

    const group = (await clients.groups.createSecurityGroup({ vpcId, name: "g" })).securityGroup?.securityGroupId ?? "";
    const level = await world.level(`network:${networkId}`);
    await clients.interfaces.updateInterface({
      interface: { interfaceId, securityGroupIds: [group], sourceDestCheck: false },
      updateMask: ["security_group_ids", "source_dest_check"],
    });
    await expect.poll(() => host.attachments.get(before?.attachmentId ?? "")).toMatchObject({ generation: 2n, sourceDestCheck: false });
    await clients.interfaces.updateInterface({ interface: { interfaceId, dnsServers: ["10.0.0.2"] }, updateMask: ["dns_servers"] });
    await expect.poll(() => host.attachments.get(before?.attachmentId ?? "")).toMatchObject({ generation: 3n, dnsServers: ["10.0.0.2"] });
    const after = host.attachments.get(before?.attachmentId ?? "");
    expect(after?.groupSetId).not.toBe(before?.groupSetId);
    expect([...host.rulesets.keys()]).toEqual([after?.rulesetId]);
    expect(await world.level(`network:${networkId}`)).toBe(level + 1n);
    expect(await failure(clients.groups.deleteSecurityGroup({ securityGroupId: group }))).toMatchObject({
      reason: "HAS_DEPENDANTS",
      facts: { blockers: interfaceId },
    });
    expect(
      await failure(
        clients.interfaces.updateInterface({
          interface: { interfaceId, securityGroupIds: ["sg-0123456789abcdef0123456789abcdef"] },
          updateMask: ["security_group_ids"],
        }),
      ),
    ).toMatchObject({ code: Status.NOT_FOUND });
  });

  test("keep their DNS servers while attached to nothing, and take no other addresses for them", async () => {
    const { clients, subnetId } = await scene();
    const dnsServers = ["10.0.0.2", "192.0.2.53"];
    const made = (await clients.interfaces.createInterface({ spec: { subnetId, dnsServers } })).interface;
    const interfaceId = made?.interfaceId ?? "";
    expect((await clients.interfaces.getInterface({ interfaceId })).interface?.dnsServers).toEqual(dnsServers);
    const wrong = [["10.0.0"], ["fd00::1"], ["0.0.0.0"], ["224.0.0.1"], ["255.255.255.255"], ["10.0.0.2", "10.0.0.2"]];
    const five = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
    for (const servers of [...wrong, five]) {
      const update = clients.interfaces.updateInterface({ interface: { interfaceId, dnsServers: servers }, updateMask: ["dns_servers"] });
      expect(await failure(update), servers.join()).toMatchObject({ code: Status.INVALID_ARGUMENT });
      const create = clients.interfaces.createInterface({ spec: { subnetId, dnsServers: servers } });
      expect(await failure(create), servers.join()).toMatchObject({ code: Status.INVALID_ARGUMENT });
    }
    const update = { interface: { interfaceId, dnsServers: [] }, updateMask: ["dns_servers"] };
    expect((await clients.interfaces.updateInterface(update)).interface?.dnsServers).toEqual([]);
  });

  test("are deleted when attached to nothing, and block what they are in", async () => {
    const { clients, subnetId, vpcId } = await scene();
    const instanceId = (await clients.instances.runInstance({ stopped: true })).instance?.instanceId ?? "";
    const interfaceId = (await clients.interfaces.createInterface({ spec: { subnetId } })).interface?.interfaceId ?? "";
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
    const { interface: read } = await clients.interfaces.getInterface({ interfaceId });
    expect(read).toMatchObject({ state: InterfaceState.IN_USE, deletionBlockers: [attachment?.attachmentId] });
    expect(await failure(clients.interfaces.deleteInterface({ interfaceId }))).toMatchObject({
      reason: "HAS_DEPENDANTS",
      facts: { blockers: attachment?.attachmentId },
    });
    expect(await failure(clients.vpcs.deleteVpc({ vpcId }))).toMatchObject({ reason: "HAS_DEPENDANTS" });
    await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    await clients.interfaces.deleteInterface({ interfaceId, etag: read?.etag });
    expect(await failure(clients.interfaces.deleteInterface({ interfaceId }))).toMatchObject({ code: Status.NOT_FOUND });
    expect((await clients.interfaces.getAttachment({ attachmentId: attachment?.attachmentId })).attachment?.state).toBe(
      AttachmentState.DETACHED,
    );
  });

  test("a payer other than the owner is the operator's to name", async () => {
    const { clients, subnetId } = await scene();
    const { accountId: other } = await world.account();
    expect(await failure(clients.interfaces.createInterface({ spec: { subnetId, payerAccount: other } }))).toMatchObject({
      code: Status.NOT_FOUND,
    });
    const made = await world.operator.interfaces.createInterface({ spec: { subnetId, payerAccount: other } });
    expect(made.interface?.payerAccount).toBe(other);
  });
});

test("rules replaced while interfaces are being attached reach every one of them", async () => {
  const zoneId = "race";
  const host = await world.host(zoneId);
  const { clients, subnetId, defaultGroup } = await scene("10.0.16.0/20");
  const { instance } = await clients.instances.runInstance({ zoneId, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
  const instanceId = instance?.instanceId ?? "";
  const records = await clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: 12 }, () => ({ subnetId })) });
  const replaced = (port: number) =>
    clients.groups.replaceSecurityGroupRules({
      securityGroupId: defaultGroup,
      rules: [{ direction: 1, protocol: 2, portFrom: port, portTo: port, peer: { $case: "cidr", value: "0.0.0.0/0" } }],
    });
  await Promise.all([
    ...records.interfaces.map((record) => clients.interfaces.attachInterface({ spec: { interfaceId: record.interfaceId, instanceId } })),
    (async () => {
      for (let port = 1; port <= 6; port += 1) await replaced(port);
    })(),
  ]);
  await expect
    .poll(() => new Set([...host.attachments.values()].filter((one) => one.wanted === Wanted.PRESENT).map((one) => one.rulesetId)).size)
    .toBe(1);
  const [rulesetId = 0] = [...host.attachments.values()].map((one) => one.rulesetId);
  expect(host.attachments.size).toBe(13);
  expect(host.rulesets.get(rulesetId)?.rules).toMatchObject([{ portFrom: 6 }]);
  await expect.poll(() => [...host.rulesets.keys()]).toEqual([rulesetId]);
});
