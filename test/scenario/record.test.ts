import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { callFailure } from "#lib/rpc/rpc.ts";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";
import { http, ping } from "./support/traffic.ts";

// Rows N1, N14: what a record says of its guest reaches the guest, and goes with the record.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => await at?.stop());

describe("DNS servers", () => {
  const RESOLVER = "/etc/resolv.conf";
  /** A web server that answers with what it reads there. */
  const READER = [
    "import http.server",
    "class H(http.server.BaseHTTPRequestHandler):",
    "    def do_GET(self):",
    `        body = open('${RESOLVER}', 'rb').read()`,
    "        self.send_response(200); self.send_header('content-length', str(len(body))); self.end_headers(); self.wfile.write(body)",
    "http.server.ThreadingHTTPServer(('0.0.0.0', 80), H).serve_forever()",
  ].join("\n");
  const argv = ["/usr/bin/python3", "-c", READER];

  it("are what each guest's processes read, follow a change, and go with the record to another guest", async () => {
    const before = readFileSync(RESOLVER, "utf8");
    const asker = await runGuest(at, owner, network, { host: 0 });
    const [a, b] = [await runGuest(at, owner, network, { host: 1, argv }), await runGuest(at, owner, network, { host: 1, argv })];
    const told = async (address: string): Promise<string[] | undefined> => {
      const text = await http(asker.netns, address);
      return text === undefined ? undefined : [...text.matchAll(/^nameserver (.*)$/gm)].map((m) => m[1]!);
    };
    const set = (interfaceId: string, dnsServers: string[]) =>
      owner.clients.interfaces.updateInterface({ interface: { interfaceId, dnsServers }, updateMask: ["dns_servers"] });
    await expect.poll(() => told(a.address), { timeout: 10_000 }).toEqual([]);
    await set(a.interface.interfaceId, ["10.0.1.53", "10.0.1.54"]);
    await set(b.interface.interfaceId, ["10.0.1.55"]);
    await expect.poll(() => told(a.address), { timeout: 5_000 }).toEqual(["10.0.1.53", "10.0.1.54"]);
    await expect.poll(() => told(b.address), { timeout: 5_000 }).toEqual(["10.0.1.55"]);

    // Attached anew, beside b's own: the record brings its servers along.
    await owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: a.interface.interfaceId } });
    const { interface: kept } = await owner.clients.interfaces.getInterface({ interfaceId: a.interface.interfaceId });
    expect(kept?.dnsServers).toEqual(["10.0.1.53", "10.0.1.54"]);
    await owner.clients.interfaces.attachInterface({ spec: { interfaceId: a.interface.interfaceId, instanceId: b.instanceId } });
    await expect.poll(() => told(b.address), { timeout: 5_000 }).toEqual(["10.0.1.55", "10.0.1.53", "10.0.1.54"]);
    const { operation } = await owner.clients.instances.stopInstance({ instanceId: b.instanceId });
    await finished(owner.clients, operation!.operationId);
    const start = await owner.clients.instances.startInstance({ instanceId: b.instanceId });
    await finished(owner.clients, start.operation!.operationId);
    await expect.poll(() => told(b.address), { timeout: 10_000 }).toEqual(["10.0.1.55", "10.0.1.53", "10.0.1.54"]);
    expect(readFileSync(RESOLVER, "utf8")).toBe(before);
  });
});

describe("a disabled interface", () => {
  const set = (interfaceId: string, disabled: boolean) =>
    owner.clients.interfaces.updateInterface({ interface: { interfaceId, disabled }, updateMask: ["disabled"] });
  const stateOf = async (interfaceId: string) => (await owner.clients.interfaces.getInterface({ interfaceId })).interface!;

  it("keeps its attachment and passes nothing, across hosts and on one, until it is enabled", async () => {
    const guest = await runGuest(at, owner, network, { host: 0 });
    const far = await runGuest(at, owner, network, { host: 1 });
    const near = await runGuest(at, owner, network, { host: 0 });
    const { interfaceId } = guest.interface;
    for (const peer of [far, near]) expect((await ping(peer.netns, guest.address, 3)).received).toBe(3);

    expect((await set(interfaceId, true)).interface?.state).toBe(InterfaceState.DISABLED);
    await expect.poll(async () => (await ping(far.netns, guest.address, 1)).received, { timeout: 5_000 }).toBe(0);
    for (const peer of [far, near]) {
      expect((await ping(peer.netns, guest.address, 3)).received).toBe(0);
      expect((await ping(guest.netns, peer.address, 3)).received).toBe(0);
    }
    const off = await stateOf(interfaceId);
    expect(off.attachments).toMatchObject([{ attachmentId: guest.attachment.attachmentId, state: AttachmentState.ATTACHED }]);
    await expect
      .poll(async () => (await stateOf(interfaceId)).traffic?.dropsByReason["INTERFACE_DISABLED"] ?? 0n, { timeout: 5_000 })
      .toBeGreaterThanOrEqual(7n);

    expect((await set(interfaceId, false)).interface?.state).toBe(InterfaceState.IN_USE);
    await expect.poll(async () => (await ping(far.netns, guest.address, 1)).received, { timeout: 5_000 }).toBe(1);
    for (const peer of [far, near]) expect((await ping(guest.netns, peer.address, 3)).received).toBe(3);

    // Attached to nothing, it can be attached to nothing either.
    await owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    await set(interfaceId, true);
    const attach = () => owner.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId: near.instanceId } });
    expect(callFailure(await attach().catch((e: unknown) => e))).toMatchObject({ status: "FAILED_PRECONDITION", reason: "WRONG_STATE" });
    await set(interfaceId, false);
    await attach();
    expect((await ping(far.netns, guest.address, 3)).received).toBe(3);
  });
});
