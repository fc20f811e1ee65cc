import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { World } from "../coordinator/testing/world.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import { quantile } from "./lib/stats.ts";

// What the first use of a combination of security groups costs where a VPC has many already, all with a group whose rules name itself: rulesets
// that are written, bytes that hosts are told, milliseconds of the create. Hosts answer at once; ten attachments have such rules.
// `--peer <directory>`: another working copy of this repository, asked in turn.

const number = { type: "string" } as const;
const { values } = parseArgs({ options: { count: number, peer: number } });
const count = Number(values.count ?? 6);
const SIZES = [1, 50, 200, 400];
const ATTACHED = 10;
/** Each two of them and the group that names itself are a combination. */
const MARKS = 32;

interface Sample {
  readonly rulesets: number;
  readonly bytes: number;
  readonly wallMs: number;
}

/** Creates the first record of so many combinations, in a VPC that has `sets` already. */
async function measure(world: World, zoneId: string, sets: number): Promise<Sample[]> {
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const { vpcId, subnetId } = await world.network(clients, "10.0.0.0/16", "10.0.0.0/20");
  const group = async (name: string) => (await clients.groups.createSecurityGroup({ vpcId, name })).securityGroup?.securityGroupId ?? "";
  const club = await group("club");
  const peer = { $case: "securityGroupId" as const, value: club };
  const rules = [{ direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: 80, portTo: 80, peer }];
  await clients.groups.replaceSecurityGroupRules({ securityGroupId: club, rules });
  const marks: string[] = [];
  for (let i = 0; i < MARKS; i += 1) marks.push(await group(`mark-${i}`));
  const pairs = marks.flatMap((one, index) => marks.slice(index + 1).map((other) => [club, one, other]));
  const spec = (which: number) => ({ subnetId, securityGroupIds: pairs[which] ?? [] });
  const made = await clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: sets }, (_, which) => spec(which)) });
  for (let i = 0; i < Math.min(ATTACHED, sets); i += 1) {
    const source = { $case: "interfaceId" as const, value: made.interfaces[i]?.interfaceId ?? "" };
    const { operation } = await clients.instances.runInstance({ zoneId, interfaces: [{ source }] });
    await world.finished(clients, operation?.operationId);
  }
  const seen = async (): Promise<{ rulesets: number; bytes: number }> => {
    const { rows } = await world.db.pool.query<{ rulesets: string; bytes: string }>(
      "SELECT (SELECT count(*) FROM ruleset) AS rulesets, (SELECT coalesce(sum(length(payload)), 0) FROM change WHERE scope = $1) AS bytes",
      [`host:${host.hostId}`],
    );
    return { rulesets: Number(rows[0]?.rulesets), bytes: Number(rows[0]?.bytes) };
  };
  const samples: Sample[] = [];
  for (let i = 0; i < count; i += 1) {
    const before = await seen();
    const start = performance.now();
    await clients.interfaces.createInterface({ spec: spec(sets + i) });
    const wallMs = performance.now() - start;
    const after = await seen();
    samples.push({ rulesets: after.rulesets - before.rulesets, bytes: after.bytes - before.bytes, wallMs });
  }
  return samples;
}

await bench("group-sets", async (report, cleanup) => {
  const directories = [".", ...(values.peer === undefined ? [] : [values.peer])].map((path) => resolve(path));
  const worlds: World[] = [];
  for (const directory of directories) {
    const path = pathToFileURL(join(directory, "coordinator/testing/world.ts")).href;
    const { startWorld } = (await import(path)) as { startWorld(): Promise<World> };
    const world = await startWorld();
    cleanup(() => world.stop());
    worlds.push(world);
    await measure(world, "warm", 20);
  }
  const measures = { rulesets: 0, bytes: 0, wallMs: 2 } as const satisfies Record<keyof Sample, number>;
  const names = { rulesets: "rulesets", bytes: "bytes to the host", wallMs: "ms p50" };
  const own = (name: string): string[] => (worlds.length > 1 ? [name, "peer"] : [name]);
  const rows = [["sets before", ...Object.values(names).flatMap(own), ...(worlds.length > 1 ? ["ms, ratio"] : [])]];
  for (const sets of SIZES) {
    const sides: Sample[][] = [];
    for (const [side, world] of worlds.entries()) {
      const samples = await measure(world, `sets-${sets}`, sets);
      for (const sample of samples) report.sample({ side, sets, ...sample });
      sides.push(samples);
    }
    const medians = (key: keyof Sample): number[] =>
      sides.map((samples) =>
        quantile(
          samples.map((sample) => sample[key]),
          0.5,
        ),
      );
    const cells = (Object.keys(measures) as (keyof Sample)[]).flatMap((key) => medians(key).map((value) => value.toFixed(measures[key])));
    const [mine = NaN, theirs] = medians("wallMs");
    rows.push([String(sets), ...cells, ...(theirs === undefined ? [] : [(mine / theirs).toFixed(3)])]);
  }
  report.say(`${count} creates each, medians; ${ATTACHED} attachments on one host`);
  report.say(table(rows).join("\n"));
});
