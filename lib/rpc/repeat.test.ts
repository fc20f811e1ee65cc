import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { silentLog } from "../log/log.ts";
import type { TokenVerifier } from "./caller.ts";
import { bind, callFailure, createChannelAndClient, startServer } from "./rpc.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const everybody: TokenVerifier = {
  verify: () => Promise.resolve({ kind: "operator", principalId: "op", accountId: "", roles: ["operator"] }),
};
const refuse = () => Promise.reject(new Error("not called in this test"));

/** A server of groups whose connections can be cut; the first call gets no answer before that. */
async function serve(): Promise<{ address: string; asked: string[]; cut: () => void }> {
  const asked: string[] = [];
  const lost = Promise.withResolvers<void>();
  const service = bind(SecurityGroupServiceDefinition, {
    async createSecurityGroup({ requestId }) {
      asked.push(requestId);
      if (asked.length === 1) await lost.promise;
      return { securityGroup: { securityGroupId: `sg-${asked.length}` } };
    },
    getSecurityGroup: refuse,
    listSecurityGroups: refuse,
    replaceSecurityGroupRules: refuse,
    addSecurityGroupRules: refuse,
    removeSecurityGroupRules: refuse,
    updateSecurityGroup: refuse,
    deleteSecurityGroup: refuse,
  });
  const server = await startServer({ listeners: [{ address: "127.0.0.1:0" }], services: [service], log: silentLog(), verifier: everybody });
  closers.push(() => server.stop(0));
  const [, port = ""] = (server.addresses[0] ?? "").split(":");
  const sockets = new Set<Socket>();
  const relay = createServer((inbound) => {
    const outbound = connect(Number(port), "127.0.0.1");
    for (const socket of [inbound, outbound]) sockets.add(socket.on("error", () => undefined));
    inbound.pipe(outbound).pipe(inbound);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    lost.resolve();
  };
  closers.push(() => (cut(), relay.close()));
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return { address: `127.0.0.1:${(relay.address() as AddressInfo).port}`, asked, cut };
}

/** What comes of a call whose connection is cut while it runs, and what the server was asked. */
async function lost(requestId: string): Promise<{ outcome: unknown; asked: string[] }> {
  const { address, asked, cut } = await serve();
  const { client, close } = createChannelAndClient(SecurityGroupServiceDefinition, { address, token: "t", repeatUnavailable: true });
  closers.push(close);
  const outcome = client.createSecurityGroup({ requestId }).catch((error: unknown) => error);
  await expect.poll(() => asked).toHaveLength(1);
  cut();
  return { outcome: await outcome, asked };
}

it("a call whose answer is lost is made once more, under its own request_id", async () => {
  const { outcome, asked } = await lost("one");
  expect(outcome).toMatchObject({ securityGroup: { securityGroupId: "sg-2" } });
  expect(asked).toEqual(["one", "one"]);
});

it("a call without a request_id is not: it may have been made", async () => {
  const { outcome, asked } = await lost("");
  expect(callFailure(outcome)).toMatchObject({ status: "UNAVAILABLE" });
  expect(asked).toEqual([""]);
});
