import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { ConsentServiceDefinition, ConsentState } from "#gen/plenum/consent/v1/consent.ts";
import { Watcher } from "./watcher.ts";
import { startWorld } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

// C15: what a watch holds when nothing happens any more is what the list shows, for everybody.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const step = fc.record({
  kind: fc.constantFrom(
    "create",
    "create",
    "delete",
    "describe",
    "switch",
    "share",
    "share",
    "suspend",
    "resume",
    "attach",
    "attach",
    "detach",
    "rules",
  ),
  person: fc.nat(2),
  other: fc.nat(2),
  pick: fc.nat(1_000),
  /** Whether the watches are to have come to rest before the next one. */
  rest: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
});

const bare = (records: Iterable<Interface>): Interface[] =>
  [...records].map((record) => ({
    ...record,
    traffic: undefined,
    attachments: record.attachments.map((a) => ({ ...a, traffic: undefined })),
  }));

async function listed(clients: Clients, filter: object): Promise<Map<string, Interface>> {
  const all = new Map<string, Interface>();
  for (let pageToken = ""; ;) {
    const page = await clients.interfaces.listInterfaces({ filter, pageSize: 4, pageToken });
    for (const record of page.interfaces) all.set(record.interfaceId, record);
    pageToken = page.nextPageToken;
    if (pageToken === "") return all;
  }
}

test("a watch at rest holds what the list shows, whatever was done by whom", async () => {
  const host = await world.host();
  const people = await Promise.all([world.account(), world.account(), world.account()]);
  const places: (TestNetwork & { instanceId: string })[] = [];
  for (const { clients } of people) {
    const net = await world.network(clients);
    const { instance } = await clients.instances.runInstance({
      interfaces: [{ source: { $case: "create", value: { subnetId: net.subnetId } } }],
    });
    places.push({ ...net, instanceId: instance?.instanceId ?? "" });
  }
  const viewers: { name: string; clients: Clients; filter: object }[] = [
    ...people.map(({ clients }, n) => ({ name: `owner ${n}`, clients, filter: {} })),
    { name: "viewer", clients: await world.as({ role: "viewer", accountId: people[0]?.accountId ?? "", principalId: "vic" }), filter: {} },
    { name: "in one's subnet", clients: people[0]!.clients, filter: { subnetId: places[0]?.subnetId } },
    { name: "of another", clients: people[0]!.clients, filter: { ownerAccount: people[1]?.accountId } },
    { name: "attached", clients: people[1]!.clients, filter: { state: 2 } },
    { name: "disabled", clients: people[0]!.clients, filter: { state: 3 } },
    { name: "tagged", clients: people[1]!.clients, filter: { tagKey: "n", tagValue: "1" } },
    { name: "of a group", clients: people[2]!.clients, filter: { securityGroupId: places[2]?.defaultGroup } },
    { name: "on an instance", clients: people[2]!.clients, filter: { instanceId: places[2]?.instanceId } },
    { name: "operator", clients: world.operator, filter: { ownerAccount: people[2]?.accountId } },
  ];
  const watchers = viewers.map(({ clients, filter }) => new Watcher(clients, { filter }));
  let shown = 0;
  const rest = async (): Promise<void> => {
    for (const [index, { name, clients, filter }] of viewers.entries()) {
      const watcher = watchers[index]!;
      await expect
        .poll(
          async () => {
            expect(watcher.failure).toBeUndefined();
            const list = await listed(clients, filter);
            const foreign = [...list.values()].filter((one) => one.ownerAccount !== people[index]?.accountId);
            if (name.startsWith("owner")) shown = Math.max(shown, foreign.length);
            const held = [...watcher.records.values()].toSorted((a, b) => (a.interfaceId < b.interfaceId ? -1 : 1));
            return { held: bare(held), is: bare(list.values()) };
          },
          { timeout: 15_000, interval: 60 },
        )
        .toSatisfy(({ held, is }: { held: unknown; is: unknown }) => JSON.stringify([held], text) === JSON.stringify([is], text), name);
    }
  };
  const text = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
  const made: { id: string; person: number }[] = [];
  const run = async ({ kind, person, other, pick }: { kind: string; person: number; other: number; pick: number }): Promise<unknown> => {
    const { clients } = people[person]!;
    const place = places[person]!;
    const own = made.filter((one) => one.person === person);
    const interfaceId = own[pick % Math.max(1, own.length)]?.id ?? "";
    const { interfaces } = clients;
    const kernel = await world.client(ConsentServiceDefinition);
    const turn = async (from: ConsentState, to: (of: { consentId: string; etag: string }) => Promise<unknown>): Promise<unknown> => {
      const consents = (await kernel.listConsents({ state: from, pageSize: 1_000 })).consents;
      const one = consents[pick % Math.max(1, consents.length)];
      return one === undefined ? Promise.reject(new Error("none")) : to(one);
    };
    if (kind === "suspend") return turn(ConsentState.ACTIVE, ({ consentId, etag }) => kernel.suspendConsent({ consentId, etag }));
    if (kind === "resume") return turn(ConsentState.SUSPENDED, ({ consentId, etag }) => kernel.resumeConsent({ consentId, etag }));
    if (kind === "create") {
      const answer = await interfaces.createInterface({ spec: { subnetId: place.subnetId } });
      return made.push({ id: answer.interface?.interfaceId ?? "", person });
    }
    if (kind === "rules")
      return clients.groups.replaceSecurityGroupRules({
        securityGroupId: place.defaultGroup,
        rules: [{ direction: 1, protocol: 0, peer: { $case: "cidr", value: `10.${pick % 200}.0.0/16` } }],
      });
    if (interfaceId === "") return undefined;
    switch (kind) {
      case "delete":
        return interfaces.deleteInterface({ interfaceId }).then(() =>
          made.splice(
            made.findIndex((one) => one.id === interfaceId),
            1,
          ),
        );
      case "describe":
        return interfaces.updateInterface({
          interface: { interfaceId, description: `d${pick}`, tags: { n: String(pick % 2) } },
          updateMask: ["description", "tags"],
        });
      case "switch":
        return interfaces.updateInterface({ interface: { interfaceId, disabled: pick % 2 === 0 }, updateMask: ["disabled"] });
      case "share": {
        const access = pick % 3 === 0 ? {} : { attachers: [{ accountId: people[other]?.accountId }] };
        return interfaces.updateInterface({ interface: { interfaceId, access }, updateMask: ["access"] });
      }
      case "attach":
        return interfaces.attachInterface({ spec: { interfaceId, instanceId: place.instanceId }, wait: WaitFor.COMMITTED });
      default:
        return interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, wait: WaitFor.COMMITTED });
    }
  };
  let done = 0;
  const steps = fc.sample(step, { numRuns: 140, seed: 11 });
  try {
    for (const one of steps) {
      await run(one).then(
        () => (done += 1),
        () => undefined, // what the state forbids is no change
      );
      if (one.rest) await rest();
    }
    await rest();
    expect(done).toBeGreaterThan(80);
    expect(shown).toBeGreaterThan(0);
    expect(watchers.every((watcher) => watcher.kinds().filter((kind) => kind === "historyGone").length === 0)).toBe(true);
    expect(watchers.map((watcher) => watcher.kinds().includes("deleted"))).toContain(true);
  } finally {
    for (const watcher of watchers) await watcher.close();
    await host.close();
  }
}, 240_000);
