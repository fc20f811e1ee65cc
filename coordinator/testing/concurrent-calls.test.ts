import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { FakeHost } from "./fake-host.ts";
import { hostTwice, networkTwice, wrongRows } from "./estate-invariants.ts";
import { deadlocks } from "./deadlocks.ts";
import { forgetSets } from "./forget-sets.ts";
import { startWorld, ZONE } from "./world.ts";
import type { Clients, World } from "./world.ts";

/** Another one with PLENUM_TEST_SEED. */
const SEED = Number(process.env["PLENUM_TEST_SEED"] ?? 20_261_121);
const CALLERS = 8;
const TURNS = 24;
/** What each begins with. */
const FIRST = ["create", "group", "run", "create", "run", "attach"];
/** Interfaces and instances that are known at most: few, so that callers meet. */
const MOST = 12;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** Numbers below `below`; the same for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
}

/** Whoever writes a row holds it for a moment before it goes on: what could meet does. */
async function lingerAtRows(): Promise<void> {
  await sql`CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(random() * 0.02); RETURN coalesce(NEW, OLD); END'`.execute(world.db.kysely);
  for (const table of ["interface", "attachment", "account_use", "account_use_part", "instance", "group_set", "security_group", "subnet"]) {
    await sql`CREATE TRIGGER linger BEFORE INSERT OR UPDATE OR DELETE ON ${sql.table(table)} FOR EACH ROW EXECUTE FUNCTION linger()`.execute(
      world.db.kysely,
    );
  }
}

/** Ids that callers know of, gone or not. */
class Known {
  readonly #ids: string[];
  constructor(...ids: string[]) {
    this.#ids = ids;
  }
  add(id = ""): void {
    this.#ids.push(id);
    if (this.#ids.length > MOST) this.#ids.shift();
  }
  any(random: (below: number) => number): string {
    return this.#ids[random(this.#ids.length)] ?? "";
  }
}

/** What a caller may do next, by name. Nobody asks first whether it can be done. */
function callsOf(clients: Clients, estate: Estate, random: (below: number) => number): Record<string, () => Promise<unknown>> {
  const { interfaces, instances, groups, subnets, vpcs } = clients;
  const { vpcId, records, machines, ranges, sets } = estate;
  const wait = WaitFor.COMMITTED;
  const some = (): string[] => [...new Set(Array.from({ length: 1 + random(2) }, () => sets.any(random)))];
  const address = (): string[] => (random(2) === 0 ? [] : [`10.0.1.${10 + random(6)}`]);
  const record = () => ({ subnetId: ranges.any(random), securityGroupIds: some(), privateAddresses: address() });
  const rule = (): object => {
    const peer =
      random(3) === 0 ? { $case: "cidr", value: `10.${random(9)}.0.0/16` } : { $case: "securityGroupId", value: sets.any(random) };
    return { direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: 80, portTo: 80 + random(4), peer };
  };
  const machine = () => ({ instanceId: machines.any(random) });
  const update = (fields: object, updateMask: string[]) =>
    interfaces.updateInterface({ interface: { interfaceId: records.any(random), ...fields }, updateMask, wait });
  return {
    create: async () => records.add((await interfaces.createInterface({ spec: record() })).interface?.interfaceId),
    remove: () => interfaces.deleteInterface({ interfaceId: records.any(random) }),
    attach: () =>
      interfaces.attachInterface({ spec: { interfaceId: records.any(random), ...machine(), deleteOnTerminate: random(2) === 0 }, wait }),
    attachTwo: () =>
      interfaces.batchAttachInterfaces({ specs: [0, 1].map(() => ({ interfaceId: records.any(random), ...machine() })), wait }),
    detach: () => interfaces.detachInterface({ target: { $case: "interfaceId", value: records.any(random) }, wait }),
    detachAll: () => interfaces.detachInterface({ target: { $case: "instanceId", value: machines.any(random) }, wait }),
    regroup: () => update({ securityGroupIds: some() }, ["security_group_ids"]),
    disable: () => update({ disabled: random(3) === 0, sourceDestCheck: random(2) === 0 }, ["disabled", "source_dest_check"]),
    readdress: () => interfaces.setAddresses({ interfaceId: records.any(random), privateAddresses: address(), wait }),
    run: async () => {
      const own = { source: { $case: "create" as const, value: record() } };
      const other = { source: { $case: "interfaceId" as const, value: records.any(random) }, deleteOnTerminate: random(2) === 0 };
      const made = await instances.runInstance({
        zoneId: ZONE,
        interfaces: random(2) === 0 ? [own] : [own, other],
        stopped: random(3) === 0,
      });
      machines.add(made.instance?.instanceId);
    },
    start: () => instances.startInstance(machine()),
    stop: () => instances.stopInstance(machine()),
    terminate: () => instances.terminateInstance(machine()),
    rules: () => groups.replaceSecurityGroupRules({ securityGroupId: sets.any(random), rules: [rule(), rule()] as never, wait }),
    group: async () => {
      const { securityGroup } = await groups.createSecurityGroup({ vpcId, name: `g${random(30)}`, rules: [rule()] as never });
      sets.add(securityGroup?.securityGroupId);
    },
    ungroup: () => groups.deleteSecurityGroup({ securityGroupId: sets.any(random) }),
    subnet: async () => ranges.add((await subnets.createSubnet({ vpcId, cidrBlock: `10.0.${2 + random(8)}.0/24` })).subnet?.subnetId),
    unsubnet: () => subnets.deleteSubnet({ subnetId: ranges.any(random) }),
    unvpc: () => vpcs.deleteVpc({ vpcId }),
  };
}

interface Estate {
  readonly vpcId: string;
  readonly records: Known;
  readonly machines: Known;
  readonly ranges: Known;
  readonly sets: Known;
}

const UNEXPECTED = new Set(["INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", ""]);

test(`${CALLERS} callers at two copies over one small estate, hints lost and streams broken: no answer is a bug, and tables, log and hosts agree in the end`, async () => {
  const hosts = [await world.host(), await world.host()];
  const { clients, accountId } = await world.account();
  const copy = await world.copy();
  const { vpcId, networkId, subnetId, defaultGroup } = await world.network(clients);
  const estate = { vpcId, records: new Known(), machines: new Known(), ranges: new Known(subnetId), sets: new Known(defaultGroup) };
  await lingerAtRows();
  const fates = randomFrom(SEED);
  world.hub.fate = () => (["lose", "twice", "late"] as const)[fates(10)] ?? "deliver";
  const outcomes = new Map<string, number>();
  const surprises: string[] = [];
  const caller = async (number: number): Promise<void> => {
    const own = number % 2 === 0 ? await world.as({ role: "owner", accountId }) : await copy.as(accountId);
    const random = randomFrom(SEED + number);
    const calls = callsOf(own, estate, random);
    const names = Object.keys(calls);
    for (let turn = 0; turn < TURNS; turn += 1) {
      const name = FIRST[turn] ?? names[random(names.length)] ?? "";
      const outcome = await calls[name]?.().then(
        () => "done",
        (error: unknown) => {
          const failure = callFailure(error);
          if (failure === undefined || UNEXPECTED.has(failure.status)) surprises.push(`${name}: ${failure?.message ?? String(error)}`);
          return failure?.reason ?? "no answer";
        },
      );
      outcomes.set(`${name} ${outcome}`, (outcomes.get(`${name} ${outcome}`) ?? 0) + 1);
    }
  };
  let over = false;
  /** A stream that breaks again and again, and goes on where it was. */
  const flapping = async (host: FakeHost): Promise<void> => {
    while (!over) {
      await host.disconnect();
      await host.connect(host.bookmark);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  /** Sets of groups go as soon as nothing has them, and come again. */
  const forgetting = async (): Promise<void> => {
    while (!over) await forgetSets(world, true);
  };
  const flaps = [...hosts.map(flapping), forgetting()];
  await Promise.all(Array.from({ length: CALLERS }, (_, number) => caller(number)));
  over = true;
  await Promise.all(flaps);
  expect(surprises).toEqual([]);
  // Most of what was tried came too late, or too early; enough did not.
  expect([...outcomes].reduce((sum, [outcome, count]) => sum + (outcome.endsWith(" done") ? count : 0), 0)).toBeGreaterThan(60);
  expect(await deadlocks(world)).toBe(0n);
  await expect.poll(() => wrongRows(world), { timeout: 10_000, interval: 200 }).toEqual({});
  const network = await networkTwice(world, networkId);
  expect(network.told).toEqual(network.there);
  for (const host of hosts) {
    const { told, anew } = await hostTwice(host);
    expect(told).toEqual(anew);
  }
}, 90_000);
