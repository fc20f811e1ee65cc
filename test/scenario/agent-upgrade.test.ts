import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Direction } from "#gen/plenum/network/v1/security_group.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { SCHEMA } from "../../host-agent/out/datapath/index.ts";
import { pinnedMeters } from "../../host-agent/out/datapath/testing/pinned-meters.ts";
import { makeOtherVersion } from "../../host-agent/testing/other-version/index.ts";
import { everything, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation } from "./support/installation.ts";
import { answering, asking, counting, numbering, sendsMore } from "./support/traffic.ts";

// D21: an agent of another version, with maps of another layout and other programs, takes a host over while it forwards.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let directory: string;
/** Of the agents that are started next. */
let version: string | undefined;
let sender: Guest;
let receiver: Guest;
/** May only begin connections, on host 1, */
let asker: Guest;
/** and may only be asked, on host 0. */
let answerer: Guest;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "plenum-version-"));
  willLeave({ kind: "directory", dir: directory });
  version = makeOtherVersion(directory).agentMain;
  at = await install({ agentMain: () => version });
  owner = await at.account();
  const network = await makeNetwork(owner.clients);
  const groupOf = async (direction: Direction): Promise<string> => {
    const rules = everything.filter((rule) => rule.direction === direction);
    const made = await owner.clients.groups.createSecurityGroup({ vpcId: network.vpcId, name: `one way ${direction}`, rules });
    return made.securityGroup!.securityGroupId;
  };
  sender = await runGuest(at, owner, network, { host: 0 });
  receiver = await runGuest(at, owner, network, { host: 1 });
  asker = await runGuest(at, owner, network, { host: 1, groups: [await groupOf(Direction.EGRESS)] });
  answerer = await runGuest(at, owner, network, { host: 0, groups: [await groupOf(Direction.INGRESS)] });
}, 180_000);
afterAll(async () => {
  await at?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const schemas = (host: number): string[] => readdirSync(at.cluster.hosts[host]!.bpffs).filter((name) => /^[0-9a-f]{12}$/.test(name));

/** What a guest's meter has counted, as this version's agent of its host reads it. */
function packets(host: number, guest: Guest, direction: "egress" | "ingress"): bigint {
  return pinnedMeters(at.cluster.hosts[host]!.bpffs, guest.address).find((reading) => reading.direction === direction)!.packets;
}

it("loses none of 5,000 numbered datagrams a second, no count and no connection when agents of another version take over", async () => {
  expect([schemas(0), schemas(1)].flat()).not.toContain(SCHEMA);
  const answers = answering(answerer.netns, 6001, 500);
  await answers.line(/^bound/);
  const answered = asking(asker.netns, answerer.address, 6001);
  const counted = counting(receiver.netns, 6000);
  await counted.line(/^ready/);
  const flow = numbering(sender.netns, receiver.address, 6000, 5_000);
  await answers.line(/^first/);
  await sendsMore(flow, 5_000);

  version = undefined; // this one
  for (const host of [0, 1]) {
    await at.cluster.killAgent(host, "SIGKILL");
    await expect.poll(() => schemas(host), { timeout: 30_000 }).toEqual([SCHEMA]);
    await at.cluster.waitConnected(host);
  }
  const settled = async () => (await at.operator.hosts.listHosts({})).hosts.every((h) => h.appliedVersion === h.wantedVersion);
  await expect.poll(settled, { timeout: 15_000 }).toBe(true);

  await Promise.all([sendsMore(flow, 5_000), sendsMore(answers, 1_000)]);
  const sent = Number(/sent (\d+)/.exec(await flow.stop())?.[1]);
  expect(sent).toBeGreaterThan(10_000);
  expect(await counted.stop()).toContain(`received ${sent} missing 0 late 0`);
  const told = Number(/sent (\d+)/.exec(await answers.stop())?.[1]);
  expect(told).toBeGreaterThan(1_000);
  expect(await answered.stop()).toContain(`received ${told} missing 0 late 0`);
  expect([packets(0, sender, "egress"), packets(1, receiver, "ingress")]).toEqual([BigInt(sent), BigInt(sent)]);
  expect([packets(0, answerer, "egress"), packets(1, asker, "ingress")]).toEqual([BigInt(told), BigInt(told)]);
  expect([packets(0, answerer, "ingress"), packets(1, asker, "egress")]).toEqual([1n, 1n]);
});
