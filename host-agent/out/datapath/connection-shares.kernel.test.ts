import { afterEach, beforeEach, expect, test } from "vitest";
import { inNamespace } from "../../testing/guest-shell.ts";
import { beyondShares, outcome, quietGuest, udpBetween } from "./testing/flows.ts";
import { ALLOW, ALLOW_ALL, dropsOf, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";

/** What interfaces of one host leave to each other of its connection table (docs/design/connections.md). */

const SHARE = 2;
const COMMON = 6;

let lab: Lab;
let a: LabHost;
let guests: LabGuest[];
let server: LabGuest;

beforeEach(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1", { connections: { perInterface: 100, share: SHARE, common: COMMON, idleUnanswered: 4_000 } });
  const b = lab.host("b", "198.18.0.2");
  guests = ["10.0.0.1", "10.0.0.3", "10.0.0.4"].map((address) => quietGuest(lab, a, address, ALLOW.egress));
  server = quietGuest(lab, b, "10.0.0.2", ALLOW_ALL);
});
afterEach(() => lab.dispose());

/** How many connections it may begin until one is refused. */
function begins(guest: LabGuest): number {
  for (let port = 1; ; port++) {
    const fate = outcome(guest, server, udpBetween(guest, server, port, 53).opening);
    if (fate === "passes") continue;
    expect(fate).toBe("CONNECTION_SHARE");
    return port - 1;
  }
}

test("who holds many leaves something to others, and each has its share whatever they hold", { timeout: 30_000 }, async () => {
  const [first, second, third] = guests as [LabGuest, LabGuest, LabGuest];
  // Beyond its share, each as long as that is less than what is left: of 6 half, of 3 two, of 1 one.
  expect(begins(first)).toBe(SHARE + 3);
  expect(outcome(server, first, udpBetween(first, server, 1, 53).answer), "what is there goes on").toBe("passes");
  expect(begins(second)).toBe(SHARE + 2);
  expect(begins(third)).toBe(SHARE + 1);
  expect(beyondShares(a)).toEqual({ held: COMMON, counted: COMMON });
  const last = quietGuest(lab, a, "10.0.0.5", ALLOW.egress);
  expect(begins(last), "its share alone").toBe(SHARE);
  // The first one's answered connection stays: it lies within its share.
  await expect.poll(() => beyondShares(a), { timeout: 15_000, interval: 50 }).toEqual({ held: 0, counted: 0 });
  expect(begins(second), "half of all is to be had again").toBe(SHARE + 3);
});

test("what is taken is given back as connections go, while two interfaces begin others at the same time", { timeout: 60_000 }, async () => {
  const limits = { perInterface: 100, share: SHARE, common: 20, idleUnanswered: 100 };
  const host = lab.host("c", "198.18.0.3", { connections: limits });
  const senders = ["10.0.0.6", "10.0.0.7"].map((address) => lab.openGuest(host, address, {}, ALLOW.egress));
  const { address: target } = quietGuest(lab, server.host, "10.0.0.8", ALLOW_ALL);
  const count = 3_000;
  const sent = await Promise.all(
    senders.map(({ path, address }) => {
      const program = [
        "import socket",
        `for port in range(10000, ${10_000 + count}):`,
        `    s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('${address}',port)); s.sendto(b'x',('${target}',53)); s.close()`,
      ];
      return inNamespace(path, "/usr/bin/python3", "-c", program.join("\n"));
    }),
  );
  expect(sent.map(({ ok }) => ok)).toEqual([true, true]);
  for (const { endpoint } of senders) {
    const { CONNECTION_SHARE: refused = 0n } = dropsOf(host, endpoint.wireId);
    expect(refused, "some were refused, and some not").toBeGreaterThan(0n);
    expect(refused).toBeLessThan(BigInt(count));
  }
  await expect.poll(() => beyondShares(host), { timeout: 15_000, interval: 50 }).toEqual({ held: 0, counted: 0 });
});
