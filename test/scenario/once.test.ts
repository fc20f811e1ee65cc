import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { callFailure, isTransient } from "#lib/rpc/client-error.ts";
import { everything, install, makeNetwork } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";

// C9, C10, N10: what "once" means while the server is killed, and how far a subnet goes.

const REPEATS = 20;

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;

beforeAll(async () => {
  at = await install({ hosts: 1 });
  owner = await at.account();
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => await at?.stop());

/** One caller, who repeats once the server is back. `lost`: the server died before the answer. */
async function insist<Answer>(act: () => Promise<Answer>, back: Promise<void>, lost: () => void): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (callFailure(error)?.reason === "STALE_ETAG" || !isTransient(error) || attempt === 10) throw error;
      if (attempt === 1) lost();
      await back;
    }
  }
}

describe("a create with a request_id", () => {
  async function create(description: string, requestId: string, back: Promise<void>, lost: () => void): Promise<Interface> {
    const spec = { subnetId: network.subnetId, description };
    return insist(async () => (await owner.clients.interfaces.createInterface({ requestId, spec })).interface!, back, lost);
  }

  it("is made once by 20 callers at once, with one answer, whenever the server dies meanwhile", async () => {
    let lost = 0;
    let lostAfterCommit = 0;
    for (const round of [0, 1, 2, 3, 4, 5]) {
      const [description, requestId] = [`round-${round}`, `once-${round}`];
      const first = Promise.withResolvers<void>();
      const back = Promise.withResolvers<void>();
      let answered = false;
      const callers = Array.from({ length: REPEATS }, async () => {
        const made = await create(description, requestId, back.promise, () => {
          lost += 1;
          if (answered) lostAfterCommit += 1;
        });
        answered = true;
        first.resolve();
        return made;
      });
      // In even rounds with the first answer: it is committed, and most of the others have not heard. Else at some moment.
      await (round % 2 === 0 ? first.promise : delay(Math.random() * 40));
      back.resolve(at.cluster.killControlPlane());
      const answers = await Promise.all(callers);
      await back.promise;
      expect(new Set(answers.map((one) => one.interfaceId)).size).toBe(1);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      const { interfaces } = await owner.clients.interfaces.listInterfaces({ pageSize: 1_000 });
      expect(interfaces.filter((one) => one.description === description)).toHaveLength(1);
      const other = owner.clients.interfaces.createInterface({ requestId, spec: { subnetId: network.subnetId, description: "another" } });
      expect(callFailure(await other.catch((error: unknown) => error))).toMatchObject({
        status: "ALREADY_EXISTS",
        reason: "REQUEST_ID_REUSED",
      });
    }
    console.info(
      `of ${6 * REPEATS} callers ${lost} lost their answer with the server, ${lostAfterCommit} of them after the commit; each round gave one`,
    );
    expect(lost).toBeGreaterThan(0);
    expect(lostAfterCommit).toBeGreaterThan(0);
  }, 180_000);
});

describe("a change with a request_id", () => {
  it("of rules, of addresses and a detach are made once, however often they are asked for while the server dies", async () => {
    const { groups, interfaces, instances } = owner.clients;
    const { securityGroup } = await groups.createSecurityGroup({ vpcId: network.vpcId, name: "once" });
    const { securityGroupId, etag } = securityGroup!;
    const { interface: made } = await interfaces.createInterface({ spec: { subnetId: network.subnetId } });
    const { interfaceId } = made!;
    const attach = async () => {
      const { instance } = await instances.runInstance({ ownerAccount: owner.accountId, stopped: true });
      return (await interfaces.attachInterface({ spec: { interfaceId, instanceId: instance!.instanceId } })).attachment!;
    };
    const attached = await attach();
    let lost = 0;
    const back = Promise.withResolvers<void>();
    // Each with the etag that is the resource's only until the first of them commits.
    const acts = {
      rules: async () => {
        const answer = await groups.replaceSecurityGroupRules({ requestId: "c-rules", securityGroupId, etag, rules: [...everything] });
        return answer.securityGroup!.etag;
      },
      addresses: async () => {
        const request = { requestId: "c-addresses", interfaceId, etag: made!.etag, privateAddresses: ["10.0.1.240"] };
        return (await interfaces.setAddresses(request)).interface!.etag;
      },
      detach: async () => {
        const target = { $case: "interfaceId" as const, value: interfaceId };
        return (await interfaces.detachInterface({ requestId: "c-detach", target })).attachments[0]!.attachmentId;
      },
    };
    const first = Promise.withResolvers<void>();
    const callers = Object.values(acts).map((act) =>
      Array.from({ length: REPEATS }, async () => {
        const answer = await insist(act, back.promise, () => (lost += 1));
        first.resolve();
        return answer;
      }),
    );
    await first.promise;
    back.resolve(at.cluster.killControlPlane());
    const [rules, addresses, detaches] = await Promise.all(callers.map((own) => Promise.all(own)));
    await back.promise;
    expect(lost).toBeGreaterThan(0);
    expect(new Set(rules)).toEqual(new Set([String(Number(etag) + 1)]));
    expect(new Set(addresses)).toEqual(new Set([String(Number(made!.etag) + 1)]));
    expect(new Set(detaches)).toEqual(new Set([attached.attachmentId]));
    // It is attached elsewhere now: the late repeat is none of that one's business.
    const { attachmentId } = await attach();
    expect(await acts.detach()).toBe(attached.attachmentId);
    expect((await interfaces.getInterface({ interfaceId })).interface!.attachments.map((one) => one.attachmentId)).toEqual([attachmentId]);
  }, 120_000);
});

describe("a subnet", () => {
  it("with N free addresses takes N creates at once, and no other", async () => {
    const small = await makeNetwork(owner.clients, "10.9.0.0/24", "10.9.0.0/28");
    const { subnet } = await owner.clients.subnets.getSubnet({ subnetId: small.subnetId });
    const free = Number(subnet!.availableAddressCount);
    const create = () => owner.clients.interfaces.createInterface({ spec: { subnetId: small.subnetId } });
    const made = await Promise.all(Array.from({ length: free }, create));
    expect(free).toBe(12);
    expect(new Set(made.map((one) => one.interface!.privateAddresses[0])).size).toBe(free);
    const failure = callFailure(await create().catch((error: unknown) => error));
    expect(failure).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "SUBNET_EXHAUSTED", facts: { free: "0" } });
    await owner.clients.interfaces.deleteInterface({ interfaceId: made[3]!.interface!.interfaceId });
    expect((await create()).interface!.privateAddresses).toEqual(made[3]!.interface!.privateAddresses);
  });

  it("never gives one address twice, also with more creates at once than there is room for", async () => {
    const small = await makeNetwork(owner.clients, "10.10.0.0/24", "10.10.0.0/28");
    const create = () => owner.clients.interfaces.createInterface({ spec: { subnetId: small.subnetId } });
    const results = await Promise.allSettled(Array.from({ length: 30 }, create));
    const made = results.flatMap((one) => (one.status === "fulfilled" ? [one.value.interface!.privateAddresses[0]] : []));
    const refused = results.flatMap((one) => (one.status === "rejected" ? [callFailure(one.reason)?.reason] : []));
    expect([made.length, new Set(made).size]).toEqual([12, 12]);
    expect(new Set(refused)).toEqual(new Set(["SUBNET_EXHAUSTED"]));
  });
});
