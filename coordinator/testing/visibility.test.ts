import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const LISTS = ["attachers", "detachers", "addressSetters", "modifiers"] as const;

const sees = (clients: Clients, interfaceId: string): Promise<boolean> =>
  clients.interfaces.getInterface({ interfaceId }).then(
    () => true,
    () => false,
  );

test("a list holds exactly what its caller can read one by one, whoever allowed whom what", async () => {
  const people = await Promise.all([world.account(), world.account(), world.account()]);
  const networks = await Promise.all(people.map(({ clients }) => world.network(clients)));
  // Which list of which record names whom.
  const grants = fc.sample(fc.array(fc.record({ list: fc.constantFrom(...LISTS), person: fc.nat(2) }), { maxLength: 3 }), {
    numRuns: 18,
    seed: 7,
  });
  const ids: string[] = [];
  for (const [index, entries] of grants.entries()) {
    const owner = index % people.length;
    const access = Object.fromEntries(
      LISTS.map((list) => [
        list,
        entries.filter((entry) => entry.list === list).map(({ person }) => ({ accountId: people[person]?.accountId })),
      ]),
    );
    const made = await people[owner]?.clients.interfaces.createInterface({ spec: { subnetId: networks[owner]?.subnetId, access } });
    ids.push(made?.interface?.interfaceId ?? "");
  }
  for (const [index, { accountId, clients }] of people.entries()) {
    const viewer = await world.as({ role: "viewer", accountId });
    const readable = [];
    for (const id of ids) if (await sees(clients, id)) readable.push(id);
    const expected = ids.filter((_, at) => at % people.length === index || grants[at]?.some((entry) => entry.person === index));
    expect(readable).toEqual(expected);
    for (const who of [clients, viewer]) {
      const { interfaces } = await who.interfaces.listInterfaces({});
      expect(interfaces.map((one) => one.interfaceId)).toEqual(expected.toSorted());
      // A grantee learns of its own entries only; a modifier, who writes whole lists, of all: by its own role, which a viewer's is not.
      for (const one of interfaces.filter((shown) => shown.ownerAccount !== accountId)) {
        const entries = grants[ids.indexOf(one.interfaceId)] ?? [];
        const modifies = who === clients && entries.some((entry) => entry.list === "modifiers" && entry.person === index);
        for (const list of LISTS) {
          const named = new Set(entries.filter((entry) => entry.list === list).map(({ person }) => people[person]?.accountId));
          const shown = [...named].filter((id) => modifies || id === accountId);
          expect((one.access?.[list] ?? []).map((grant) => grant.accountId).sort()).toEqual(shown.sort());
        }
      }
    }
  }
  expect((await world.operator.interfaces.listInterfaces({})).interfaces).toHaveLength(ids.length);
});
