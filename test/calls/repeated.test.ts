import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TsProtoServiceDefinition } from "nice-grpc";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { Direction, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { FakeHost } from "../../coordinator/testing/fake-host.ts";
import { definitions, methodOf, methods } from "./support/contract.ts";
import { makeAccount, makeEstate } from "./support/estate.ts";
import { startInstallation } from "./support/installation.ts";
import type { Installation } from "./support/installation.ts";
import { REPEATS } from "./support/repeats.ts";
import type { Place } from "./support/repeats.ts";

// N10, C10: whatever changes something takes a request_id, and a call that is made twice under one is made once: the second answers as the
// first, and another call under the same id is refused.

/** What reads; everything else changes something. */
const READS = /^(Get|List|Watch|Wait|Lookup|BatchLookup|WhoAmI)/;

/** What changes something and has none, and why. */
const WITHOUT: Readonly<Record<string, string>> = {
  "host.v1.HostService/CreateJoinToken": "its answer is a secret, which is not kept",
  "identity.v1.TokenService/IssueToken": "its answer is a secret, which is not kept",
  "host.v1.HostFeedService/Join": "a host's: idempotent for each key that joins (C8)",
  "host.v1.HostFeedService/RenewCertificate": "a host's: makes nothing but the certificate that it answers",
  "host.v1.HostFeedService/IssueInstanceToken": "a host's, and its answer is a secret, which is not kept",
  "host.v1.HostFeedService/Connect": "a host's session",
};

const writes = [...methods].flatMap(([path, method]) => (READS.test(method.name) ? [] : [{ rpc: path.replace("/plenum.", ""), method }]));
const keyed = writes.filter(({ rpc }) => !(rpc in WITHOUT));

let installation: Installation;
let services: ReadonlyMap<string, TsProtoServiceDefinition>;
let operator: RpcChannel;
let owner: RpcChannel;
let host: FakeHost;
let place: Place;

beforeAll(async () => {
  installation = await startInstallation();
  services = await definitions();
  operator = installation.channel({ token: await installation.token({ role: "operator" }) });
  const [accountId, grantee, spareAccount] = [
    await makeAccount(operator, "a"),
    await makeAccount(operator, "b"),
    await makeAccount(operator, "spare"),
  ];
  owner = installation.channel({ token: await installation.token({ role: "owner", accountId }) });
  const estate = await makeEstate(owner, accountId, grantee);
  await operator.client(TopologyServiceDefinition).createZone({ zoneId: "zone-a", regionId: "region-1" });
  const join = async (name: string, substrateAddress: string): Promise<FakeHost> => {
    const { token } = await operator.client(HostServiceDefinition).createJoinToken({ zoneId: "zone-a" });
    return FakeHost.join({ address: installation.address, ca: installation.ca }, token, name, substrateAddress);
  };
  host = await join("h", "198.18.0.1");
  const spare = await join("spare", "198.18.0.2");
  await spare.close();
  await host.connect();
  let serial = 0;
  const next = (): number => (serial += 1);
  place = {
    estate,
    hostId: host.hostId,
    spareHostId: spare.hostId,
    spareAccount,
    async freshVpc() {
      const made = await owner
        .client(VpcServiceDefinition)
        .createVpc({ cidrBlock: "10.3.0.0/16", firstSubnet: { cidrBlock: "10.3.0.0/24" } });
      await owner.client(SubnetServiceDefinition).deleteSubnet({ subnetId: made.firstSubnet?.subnetId });
      return made.vpc?.vpcId ?? "";
    },
    async freshSubnet() {
      const request = { vpcId: estate.vpcId, cidrBlock: `10.0.${128 + next()}.0/28` };
      return (await owner.client(SubnetServiceDefinition).createSubnet(request)).subnet?.subnetId ?? "";
    },
    async freshGroup() {
      const request = { vpcId: estate.vpcId, name: `fresh-${next()}` };
      return (await owner.client(SecurityGroupServiceDefinition).createSecurityGroup(request)).securityGroup?.securityGroupId ?? "";
    },
    async freshConsent() {
      const resourceId = await estate.freshInterface();
      return (await owner.client(ConsentServiceDefinition).listConsents({ resourceId })).consents[0]?.consentId ?? "";
    },
    async deletableHost() {
      const number = next();
      const gone = await join(`gone-${number}`, `198.18.1.${number}`);
      await gone.close();
      await operator.client(HostServiceDefinition).barHost({ hostId: gone.hostId, reason: "gone" });
      return gone.hostId;
    },
    async startable() {
      const source = { $case: "create" as const, value: { subnetId: estate.subnetId } };
      const made = await owner.client(InstanceServiceDefinition).runInstance({ stopped: true, interfaces: [{ source }] });
      return made.instance?.instanceId ?? "";
    },
  };
  const rules = [{ direction: Direction.INGRESS, peer: { $case: "cidr" as const, value: "192.0.2.0/24" } }];
  await owner.client(SecurityGroupServiceDefinition).addSecurityGroupRules({ securityGroupId: estate.groupId, rules });
});
afterAll(async () => {
  await host?.close();
  await installation?.stop();
});

describe("what changes something", () => {
  it("takes a request_id", () => {
    const without = keyed.filter(({ method }) => !method.input.fields.some((field) => field.name === "request_id"));
    expect(without.map(({ rpc }) => rpc)).toEqual([]);
    expect(keyed.length).toBeGreaterThan(30);
    const reads = [...methods.values()].filter((method) => READS.test(method.name));
    expect(reads.filter((method) => method.input.fields.some((field) => field.name === "request_id"))).toEqual([]);
    expect(Object.keys(WITHOUT).filter((rpc) => !writes.some((one) => one.rpc === rpc))).toEqual([]);
  });

  it("is in the table, and nothing else is", () => {
    expect(Object.keys(REPEATS).sort()).toEqual(keyed.map(({ rpc }) => rpc).sort());
  });

  it.each(Object.entries(REPEATS))("%s is done once", async (rpc, { by, request: make, other }) => {
    const call = methodOf(by === "operator" ? operator : owner, services, rpc);
    const request = { ...(await make(place)), requestId: `repeat-${rpc}` };
    const first = await call(request);
    expect(await call(request)).toEqual(first);
    const failure = await call({ ...request, ...other }).then(
      () => undefined,
      (error: unknown) => callFailure(error),
    );
    expect(failure).toMatchObject({ status: "ALREADY_EXISTS", reason: "REQUEST_ID_REUSED" });
  });
});
