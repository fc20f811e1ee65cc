import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";
import { http } from "./support/traffic.ts";

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
