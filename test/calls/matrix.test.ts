import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TsProtoServiceDefinition } from "nice-grpc";
import pg from "pg";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { definitions, methodOf, methods } from "./support/contract.ts";
import { makeAccount, makeEstate, MEMBER } from "./support/estate.ts";
import type { Estate } from "./support/estate.ts";
import { startInstallation } from "./support/installation.ts";
import type { Installation } from "./support/installation.ts";
import { CALLERS, CLASSES, RPCS, TARGETS } from "./support/matrix.ts";
import type { CallerName, Cell, Entry, Outcome, TargetName } from "./support/matrix.ts";

// Who may call what, for every RPC of the contract (B8, C15): the table in support/matrix.ts against a whole installation.

const ZONE = "zone-a";
let installation: Installation;
let services: ReadonlyMap<string, TsProtoServiceDefinition>;
let channels: Readonly<Record<CallerName, RpcChannel>>;
let estates: Readonly<Record<TargetName, Estate>>;
let ofGrantee: Estate;
let hostId: string;
let spareHostId: string;
let spareAccount: string;
let serial = 0;

/** A host that has joined, with its certificate. */
async function joinHost(operator: RpcChannel, name: string, substrateAddress: string): Promise<{ hostId: string; channel: RpcChannel }> {
  const { token } = await operator.client(HostServiceDefinition).createJoinToken({ zoneId: ZONE });
  const { csr, key } = await createHostRequest();
  const joined = await installation
    .channel({})
    .client(HostFeedServiceDefinition)
    .join({ token, csr: derOf(csr), name, substrateAddress });
  return { hostId: joined.hostId, channel: installation.channel({ cert: joined.certificate, key }) };
}

/** An instance of A's that acts as its owner, as the database has it when the host has said that it runs; no host needs to be connected. */
async function actingInstance(owner: RpcChannel, accountId: string): Promise<RpcChannel> {
  const { instance } = await owner.client(InstanceServiceDefinition).runInstance({ stopped: true });
  const [instanceId, generation] = [instance?.instanceId ?? "", instance?.generation ?? 0n];
  const database = new pg.Client({ connectionString: installation.databaseUrl });
  await database.connect();
  const acts = "UPDATE coordinator.instance SET acts_as = 'alice', state = 2, host_id = $1 WHERE instance_id = $2";
  await database.query(acts, [hostId, instanceId]);
  await database.end();
  return installation.channel({ token: await installation.token({ role: "owner", accountId, via: { instanceId, hostId, generation } }) });
}

beforeAll(async () => {
  installation = await startInstallation();
  services = await definitions();
  const as = async (who: Parameters<Installation["token"]>[0]) => installation.channel({ token: await installation.token(who) });
  const operator = await as({ role: "operator" });
  const [a = "", b = "", c = "", d = ""] = await Promise.all(["a", "b", "c", "d"].map((name) => makeAccount(operator, name)));
  spareAccount = await makeAccount(operator, "spare");
  await operator.client(TopologyServiceDefinition).createZone({ zoneId: ZONE, regionId: "region-1" });
  const host = await joinHost(operator, "h", "198.18.0.1");
  ({ hostId } = host);
  ({ hostId: spareHostId } = await joinHost(operator, "spare", "198.18.0.2"));
  const owner = await as({ role: "owner", accountId: a });
  channels = {
    operator,
    owner,
    instance: await actingInstance(owner, a),
    member: await as({ role: "member", accountId: a, principalId: MEMBER }),
    viewer: await as({ role: "viewer", accountId: a, principalId: "vic" }),
    other: await as({ role: "owner", accountId: b }),
    grantee: await as({ role: "owner", accountId: c }),
    host: host.channel,
    anonymous: installation.channel({}),
  };
  estates = { A: await makeEstate(channels.owner, a, c), B: await makeEstate(channels.other, b, d) };
  ofGrantee = await makeEstate(channels.grantee, c, d);
});
afterAll(() => installation?.stop());

/** The answer, or of a stream the first one. */
async function send(caller: CallerName, rpc: string, request: object): Promise<unknown> {
  const call = methodOf(channels[caller], services, rpc);
  const kind = methods.get(`/plenum.${rpc}`)?.methodKind;
  if (kind === "unary") return call(request);
  const ended = new AbortController();
  const never = new Promise<void>((resolve) => ended.signal.addEventListener("abort", () => resolve()));
  async function* requests() {
    yield request;
    await never;
  }
  try {
    for await (const answer of call(kind === "server_streaming" ? request : requests(), { signal: ended.signal })) return answer;
    return undefined;
  } finally {
    ended.abort();
  }
}

const NAMED: Readonly<Record<string, Outcome>> = { NOT_FOUND: "hidden", PERMISSION_DENIED: "denied", UNAUTHENTICATED: "unknown" };

/** What came of it, in the table's words; anything that the table has no word for as it is. */
async function outcomeOf(caller: CallerName, rpc: string, entry: Entry, cell: Cell): Promise<string> {
  const allowed = entry.allowed ?? "OK";
  try {
    const answer = await send(caller, rpc, await entry.request(cell));
    if (entry.holds !== undefined && !entry.holds(answer as never, cell)) return "empty";
    return allowed === "OK" ? "yes" : "OK";
  } catch (error) {
    const failure = callFailure(error);
    if (failure === undefined) throw error;
    const text = `${failure.status} ${failure.reason}`;
    return text === allowed ? "yes" : (NAMED[failure.status] ?? `${text}: ${failure.message}`);
  }
}

const rpcs = [...methods.keys()].map((path) => path.replace("/plenum.", ""));

describe("the matrix", () => {
  it("has an entry for every RPC, and for nothing else", () => {
    expect(Object.keys(RPCS).sort()).toEqual(rpcs.toSorted());
    expect(rpcs.length).toBeGreaterThan(50);
  });

  it.each(rpcs)("%s", async (rpc) => {
    const entry = RPCS[rpc];
    if (entry === undefined) throw new Error(`${rpc} has no entry in support/matrix.ts: say who may call it`);
    const cells = CALLERS.flatMap((caller) =>
      TARGETS.map((target, index) => ({ caller, target, expected: CLASSES[entry.class][caller][index] })),
    );
    const found = await Promise.all(
      cells.map(async ({ caller, target }) => {
        serial += 1;
        const estate = estates[target];
        const own =
          { owner: estates.A, instance: estates.A, member: estates.A, viewer: estates.A, other: estates.B, grantee: ofGrantee }[
            caller as string
          ] ?? estate;
        return `${caller} on ${target}: ${await outcomeOf(caller, rpc, entry, { target: estate, own, hostId, spareHostId, zoneId: ZONE, spareAccount, serial })}`;
      }),
    );
    expect(found).toEqual(cells.map(({ caller, target, expected }) => `${caller} on ${target}: ${expected}`));
  });
});
