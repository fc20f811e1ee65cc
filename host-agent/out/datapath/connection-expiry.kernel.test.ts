import { afterEach, beforeEach, expect, test } from "vitest";
import { withNamespace } from "#lib/linux/index.ts";
import { STRUCTS } from "./layout.gen.ts";
import { encode, readBigint, u32 } from "./record.ts";
import { outcome, quietGuest, tcpBetween, udpBetween, withMap } from "./testing/flows.ts";
import { ethernet } from "./testing/frames.ts";
import { ALLOW, ALLOW_ALL, dropsOf, GATEWAY_MAC, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";
import { runPinned, TC_ACT_REDIRECT } from "./testing/test-run.ts";

const BUDGET = 3;
const IDLE = 1000; // milliseconds

let lab: Lab;
let a: LabHost;
let client: LabGuest;
let server: LabGuest;

beforeEach(() => {
  lab = new Lab();
  const connections = {
    perInterface: BUDGET,
    idleTcpAnswered: 60_000,
    idleTcpOther: IDLE,
    idleAnswered: IDLE,
    idleUnanswered: IDLE,
    idleEcho: IDLE,
  };
  a = lab.host("a", "198.18.0.1", { connections });
  const b = lab.host("b", "198.18.0.2");
  client = quietGuest(lab, a, "10.0.0.1", ALLOW.egress);
  server = quietGuest(lab, b, "10.0.0.2", ALLOW_ALL);
});
afterEach(() => lab.dispose());

const held = (guest: LabGuest): number =>
  withMap(guest.host, "budgets", (map) =>
    Number(readBigint("connection_budget", map.get(u32(guest.endpoint.wireId)) ?? Buffer.alloc(16), "count")),
  );
const entries = (host: LabHost): number => withMap(host, "connections", (map) => [...map.entries()].length);

/** Timers are the kernel's, so there is nothing to wait on but the map. */
async function gone(host: LabHost): Promise<void> {
  await expect.poll(() => entries(host), { timeout: 8000, interval: 50 }).toBe(0);
}

test("an interface that has spent its budget begins no more until some have gone, and no other feels it", async () => {
  const other = quietGuest(lab, a, "10.0.0.3", ALLOW.egress);
  const talk = (port: number, from = client) => udpBetween(from, server, port, 53);
  for (let port = 1; port <= BUDGET; port++) expect(outcome(client, server, talk(port).opening)).toBe("passes");
  expect(outcome(client, server, talk(4).opening)).toBe("CONNECTION_BUDGET");
  expect(outcome(server, client, talk(BUDGET).answer), "what is there goes on").toBe("passes");
  expect(outcome(other, server, talk(4, other).opening)).toBe("passes");
  expect(held(client)).toBe(BUDGET);
  await gone(a);
  expect([held(client), held(other)]).toEqual([0, 0]);
  expect(outcome(client, server, talk(4).opening)).toBe("passes");
  expect(dropsOf(a, other.endpoint.wireId)).toEqual({});
});

test(
  "of a burst of new connections none is refused, whether or not the kernel has timers for them, and all go",
  { timeout: 60_000 },
  async () => {
    const burst = 1000; // 6.18 has none as soon as it would have to take a new page for it
    const { wireId, ifindex, guestMac } = client.endpoint;
    withMap(a, "budgets", (map) => map.put(u32(wireId), encode("connection_budget", { wire_id: wireId, limit: burst })));
    for (let port = 1; port <= burst; port++) {
      const frame = ethernet({ dst: GATEWAY_MAC, src: guestMac }, udpBetween(client, server, port, 53).opening);
      expect(runPinned(a, "from_instance", frame, { path: a.path, ifindex }).verdict).toBe(TC_ACT_REDIRECT);
    }
    expect(dropsOf(a, wireId)).toEqual({});
    await gone(a);
    expect(held(client)).toBe(0);
  },
);

test("an entry that has its timer leaves the list of those without, and still goes by its timer", async () => {
  expect(outcome(client, server, udpBetween(client, server, 1, 53).opening)).toBe("passes");
  const listed = (): number => withMap(a, "untimed", (map) => [...map.entries()].length);
  const sweep = (): unknown => runPinned(a, "import_connections", Buffer.alloc(14), { path: a.path, ifindex: client.endpoint.ifindex });
  // As one that was listed and then written anew, with a timer this time.
  withMap(a, "connections", (connections) =>
    withMap(a, "untimed", (untimed) => {
      for (const [key] of connections.entries()) untimed.put(key, key);
    }),
  );
  expect(listed()).toBe(1);
  for (let i = 0; i < 5; i++) sweep(); // it may be the kernel that has no timer at the first attempt
  expect([listed(), entries(a)]).toEqual([0, 1]);
  await gone(a);
  expect(held(client)).toBe(0);
});

test("connections go while no agent lives", async () => {
  for (let port = 1; port <= BUDGET; port++) expect(outcome(client, server, udpBetween(client, server, port, 53).opening)).toBe("passes");
  a.datapath.close();
  expect(entries(a)).toBe(BUDGET);
  await gone(a);
  expect(held(client)).toBe(0);
});

test("an interface that comes back counts what it still has in the table, and no count stays of one that does not", async () => {
  const talk = (port: number, from = client) => udpBetween(from, server, port, 53);
  for (let port = 1; port <= BUDGET; port++) expect(outcome(client, server, talk(port).opening)).toBe("passes");
  const { wireId, meterId } = client.endpoint;
  const budgets = (): number[] => withMap(a, "budgets", (map) => [...map.entries()].map(([key]) => key.readUInt32LE()));
  const leave = (): void => {
    a.datapath.closeEndpoint(wireId);
    a.datapath.dropMeter(wireId, meterId);
  };
  leave();
  client.endpoint = { ...client.endpoint, meterId: meterId + 1n };
  withNamespace(a.path, () => a.datapath.guardDevice(client.endpoint.ifindex));
  a.datapath.putEndpoint(client.endpoint);
  expect(held(client)).toBe(BUDGET);
  expect(outcome(client, server, talk(BUDGET + 1).opening)).toBe("CONNECTION_BUDGET");
  expect(outcome(server, client, talk(BUDGET).answer), "what is there goes on").toBe("passes");
  leave();
  a.datapath.dropMeter(wireId, meterId + 1n);
  expect(budgets()).toContain(wireId);
  lab.reopen(a);
  expect(held(client)).toBe(BUDGET);
  await gone(a);
  expect(held(client)).toBe(0);
  a.datapath.putMeter({ wireId: wireId + 1, meterId: meterId + 2n });
  expect(budgets()).not.toContain(wireId);
});

test("connections stay through a restart of the agent, as long as they are used", () => {
  const { opening, answer } = tcpBetween(client, server, 1000, 80);
  expect(outcome(client, server, opening)).toBe("passes");
  expect(outcome(server, client, answer)).toBe("passes");
  lab.reopen(a);
  expect(outcome(server, client, answer)).toBe("passes");
  expect(held(client)).toBe(1);
});

test("an entry that is idle longer is absent, though it is still there", () => {
  const { opening, answer } = tcpBetween(client, server, 1000, 80);
  expect(outcome(client, server, opening)).toBe("passes");
  expect(outcome(server, client, answer)).toBe("passes");
  withMap(a, "connections", (map) => {
    for (const [key, value] of map.entries()) {
      // 61 seconds ago, where answered TCP may rest for 60. What is put has no timer.
      value.writeBigUInt64LE(process.hrtime.bigint() - 61_000_000_000n, STRUCTS.connection_state.fields.last_seen.offset);
      map.put(key, value);
    }
  });
  expect(outcome(server, client, answer)).toBe("RULE_INGRESS");
  expect(entries(a)).toBe(1);
  expect(outcome(client, server, opening)).toBe("passes");
  expect([entries(a), held(client)], "the same element, begun anew").toEqual([1, 1]);
  expect(outcome(server, client, answer)).toBe("passes");
});

test("a closed interface's connections are of no worth, and freed when they are looked at next", async () => {
  const { opening, answer } = tcpBetween(client, server, 1000, 80);
  expect(outcome(client, server, opening)).toBe("passes");
  expect(outcome(server, client, answer)).toBe("passes");
  a.datapath.closeEndpoint(client.endpoint.wireId);
  expect(outcome(server, client, answer)).toBe("TARGET_CLOSED");
  await gone(a); // an hour before its time
});
