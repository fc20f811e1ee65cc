import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { echoServer, talk } from "../../cli/demo/guest.ts";
import type { Conversation } from "../../cli/demo/guest.ts";
import { flood, floodResult } from "./support/flood.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Guest, Installation, Network } from "./support/installation.ts";
import { peopleOf } from "./support/person.ts";
import type { People, Person } from "./support/person.ts";
import { background, runIn } from "./support/run.ts";
import type { Background } from "./support/run.ts";
import { ping } from "./support/traffic.ts";

// N13: stateful groups with packets: by protocol, port, block and group, in both directions, before the first packet and for connections
// that are open.

const ECHO_PORT = 7;
const { INGRESS, EGRESS } = Direction;
const { PROGRAMMED, REACHABLE } = WaitFor;
const anybody = { $case: "cidr" as const, value: "0.0.0.0/0" };
const ofGroup = (value: string) => ({ $case: "securityGroupId" as const, value });

let at: Installation;
let people: People;
let owner: Person;
let network: Network;

beforeAll(async () => {
  at = await install();
  people = peopleOf(at);
  owner = await people.person("owner");
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => {
  await at?.stop();
  people?.forget();
});

async function group(name: string, rules: object[] = []): Promise<string> {
  const { securityGroup } = await owner.clients.groups.createSecurityGroup({ vpcId: network.vpcId, name, rules });
  return securityGroup!.securityGroupId;
}

describe("a connection that is open", () => {
  const tcp = { protocol: Protocol.TCP, portFrom: ECHO_PORT, portTo: ECHO_PORT };
  let servers: string;
  let clients: string;
  let others: string;
  let client: Guest;
  let conversation: Conversation;
  const asServer = () => ({ direction: INGRESS, ...tcp, peer: ofGroup(clients) });
  const asClient = { direction: EGRESS, ...tcp, peer: anybody };

  beforeAll(async () => {
    clients = await group("clients", [asClient]);
    others = await group("others", [asClient]);
    servers = await group("servers", [asServer()]); // no egress rule: answers need none
    const server = await runGuest(at, owner, network, { host: 1, groups: [servers], argv: echoServer() });
    client = await runGuest(at, owner, network, { host: 0, groups: [clients] });
    conversation = talk(client.netns, server.address, ECHO_PORT);
    // The server may take a moment to listen; who is refused connects no second time.
    for (let attempt = 0; attempt < 10 && !(await conversation.answeredMore(0, 1_000)); attempt += 1) {
      await conversation.close();
      conversation = talk(client.netns, server.address, ECHO_PORT);
    }
  }, 60_000);
  afterAll(async () => await conversation?.close());

  /** It flows; then `cut` answers, and from then on nothing comes back until `again` lets it. */
  async function isCutAndGoesOn(cut: () => Promise<unknown>, again: () => Promise<unknown>): Promise<void> {
    expect(await conversation.answeredMore(conversation.answered() + 5, 10_000)).toBe(true);
    await cut();
    await delay(100); // what came back before is counted
    const before = conversation.answered();
    expect(await conversation.answeredMore(before, 1_500)).toBe(false);
    await again();
    expect(await conversation.answeredMore(before, 15_000)).toBe(true);
  }
  const take = (securityGroupId: string, rule: object) => () =>
    owner.clients.groups.removeSecurityGroupRules({ securityGroupId, rules: [rule], wait: PROGRAMMED });
  const give = (securityGroupId: string, rule: object) => () =>
    owner.clients.groups.addSecurityGroupRules({ securityGroupId, rules: [rule], wait: PROGRAMMED });
  const join =
    (...securityGroupIds: string[]) =>
    () =>
      owner.clients.interfaces.updateInterface({
        interface: { interfaceId: client.interface.interfaceId, securityGroupIds },
        updateMask: ["security_group_ids"],
        wait: REACHABLE,
      });

  it(
    "ends with the rule that let it in, and goes on when it is back",
    () => isCutAndGoesOn(take(servers, asServer()), give(servers, asServer())),
    40_000,
  );

  it("ends with the rule that let it out", () => isCutAndGoesOn(take(clients, asClient), give(clients, asClient)), 40_000);

  it("ends when its sender leaves the group that may", () => isCutAndGoesOn(join(others), join(clients)), 40_000);

  it("goes on in a combination of groups that nobody had before: the server's rules mean it from its first use on", async () => {
    await isCutAndGoesOn(join(others), join(clients, others));
    await join(clients)();
  }, 40_000);

  it("ends and goes on by the command line, rule by rule", () => {
    const rule = `ingress:tcp:${ECHO_PORT}:${clients}`;
    const plenum = (verb: string) => async () =>
      expect(await owner.plenum("sg", verb, servers, rule)).toMatchObject({ code: 0, stderr: "" });
    return isCutAndGoesOn(plenum("revoke"), plenum("allow"));
  }, 60_000);
});

describe("a rule's protocol", () => {
  /**
   * Prints "<protocol> <first octet>" for each packet of these protocols that comes in, "ready" first; of those that have come at once in the
   * order of the protocols, so that nothing of an earlier one is left when the last one's is printed.
   */
  const RECEIVE = [
    "import select,socket,sys",
    "sockets=[socket.socket(socket.AF_INET,socket.SOCK_RAW,int(p)) for p in sys.argv[1:]]",
    "print('ready',flush=True)",
    "while True:",
    "    s=select.select(sockets,[],[])[0][0]",
    "    data=s.recv(2048); print(data[9],data[(data[0]&15)*4],flush=True)",
  ].join("\n");
  /** One packet of each "<protocol> <first octet>", with a checksum that ICMP takes. */
  const SEND = [
    "import socket,struct,sys",
    "for one in sys.argv[2:]:",
    "    protocol,first=map(int,one.split())",
    "    body=struct.pack('!BBHHH',first,0,0,1,1)+bytes(12)",
    "    total=sum(struct.unpack('!10H',body)); total=(total>>16)+(total&0xffff); total+=total>>16",
    "    body=body[:2]+struct.pack('!H',~total&0xffff)+body[4:]",
    "    socket.socket(socket.AF_INET,socket.SOCK_RAW,protocol).sendto(body,(sys.argv[1],0))",
  ].join("\n");

  it("is a name or a number, and of ICMP a type: what no rule names does not come in", async () => {
    const [GRE, LAST, ICMP, ECHO, TIMESTAMP] = [47, 253, 1, 8, 13];
    const mine = await group("numbered");
    const to = await runGuest(at, owner, network, { host: 1, groups: [mine] });
    const from = await runGuest(at, owner, network, { host: 0 });
    const all = [`${GRE} 9`, `${LAST} 9`, `${ICMP} ${ECHO}`, `${ICMP} ${TIMESTAMP}`];
    /** Which of all comes in under these rules: the last of what is sent is a mark that always may. */
    const comesIn = async (rules: string[]): Promise<string[]> => {
      const replaced = await owner.plenum("sg", "rules", mine, ...rules, "ingress:254:0.0.0.0/0");
      expect(replaced).toMatchObject({ code: 0, stderr: "" });
      const receiver: Background = background(to.netns, "/usr/bin/python3", ["-c", RECEIVE, ...["1", "47", "253", "254"]]);
      await receiver.line(/^ready/);
      const sent = await runIn(from.netns, "/usr/bin/python3", ["-c", SEND, to.address, ...all, "254 7"]);
      expect(sent).toMatchObject({ code: 0, stderr: "" });
      await receiver.line(/^254 7$/);
      await receiver.stop("SIGKILL");
      return all.filter((one) => receiver.lines.includes(one));
    };
    expect(await comesIn(["ingress:any:0.0.0.0/0"])).toEqual(all);
    expect(await comesIn([])).toEqual([]);
    expect(await comesIn([`ingress:${GRE}:0.0.0.0/0`])).toEqual([`${GRE} 9`]);
    expect(await comesIn([`ingress:${LAST}:10.0.1.0/24`])).toEqual([`${LAST} 9`]);
    expect(await comesIn([`ingress:icmp:${TIMESTAMP}:0.0.0.0/0`])).toEqual([`${ICMP} ${TIMESTAMP}`]);
    expect(await comesIn(["ingress:1:0.0.0.0/0"])).toEqual([`${ICMP} ${ECHO}`, `${ICMP} ${TIMESTAMP}`]);
    expect(await comesIn([`ingress:any:${from.address.replace(/\d+$/, "0")}/32`])).toEqual([]);
  }, 90_000);
});

describe("an interface whose groups allow nothing in", () => {
  const received = async (netns: string): Promise<number> => {
    const { stdout } = await runIn(netns, "ip", ["-s", "-j", "link", "show", "eth0"]);
    return (JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[])[0]!.stats64.rx.packets;
  };

  it("has had no packet at all, however many were on their way to it as it came to be", async () => {
    const closed = await group("closed");
    const from = await runGuest(at, owner, network, { host: 0 });
    const open = await runGuest(at, owner, network, { host: 1, address: "10.0.1.200" });
    const floods = ["10.0.1.200", "10.0.1.201"].map((address) => flood(from.netns, address, 9, 2_000));
    for (const one of floods) await one.line(/^sending/);
    const guest = await runGuest(at, owner, network, { host: 1, groups: [closed], address: "10.0.1.201" });
    const { interfaces } = owner.clients;
    const dropped = async () =>
      (await interfaces.getInterface({ interfaceId: guest.interface.interfaceId })).interface!.traffic?.dropsByReason["RULE_INGRESS"] ?? 0n;
    await expect.poll(dropped, { timeout: 10_000 }).toBeGreaterThan(1_000n);
    expect(await received(guest.netns)).toBe(0);
    expect(await received(open.netns)).toBeGreaterThan(1_000); // the control: the same flood, an open group
    for (const one of floods) expect((await floodResult(one)).sent).toBeGreaterThan(1_000);
    // Outward the other way round: nothing allowed out, and nothing gets out.
    expect((await ping(guest.netns, from.address, 2)).received).toBe(0);
  }, 60_000);
});
