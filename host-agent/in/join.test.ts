import "reflect-metadata";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import { afterEach, beforeEach, expect, it } from "vitest";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { createHostRequest, openCertificateAuthority } from "#lib/auth/ca.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import { newJoinToken } from "#lib/auth/join-token.ts";
import { newId } from "#lib/ids/ids.ts";
import { silentLog } from "#lib/log/log.ts";
import { createChannelAndClient } from "#lib/rpc/client.ts";
import { unauthenticated } from "#lib/rpc/errors.ts";
import { FeedServer } from "../testing/feed-server.ts";
import { IdentityStore, validity } from "./identity.ts";
import { join } from "./join.ts";
import { keepRenewed, renewalTime } from "./renewal.ts";
import { fetchRoot } from "./server-root.ts";

let directory: string;
let ca: CertificateAuthority;
let server: FeedServer;
let store: IdentityStore;
const hostId = newId("host");

beforeEach(async () => {
  directory = await mkdtemp(joinPath(tmpdir(), `plenum-join-${process.pid}-`));
  ca = await openCertificateAuthority(joinPath(directory, "ca"));
  server = await FeedServer.start({ ca });
  server.onJoin = () => hostId;
  store = new IdentityStore(joinPath(directory, "state"));
});
afterEach(async () => {
  await server.stop();
  await rm(directory, { recursive: true });
});

const options = (token = newJoinToken(ca.fingerprint), endpoint = server.address) => ({
  endpoint,
  token,
  name: "h1",
  substrateAddress: "198.18.0.1",
  store,
  log: silentLog(),
  signal: AbortSignal.timeout(10_000),
});

it("joins with the token alone, and the identity it stores opens a session as that host", async () => {
  const identity = await join(options());
  expect(server.joins).toMatchObject([{ name: "h1", substrateAddress: "198.18.0.1" }]);
  expect(await store.load()).toEqual(identity);
  expect(identity).toMatchObject({ hostId, zoneId: "zone-1", caBundle: ca.ca });
  expect((await stat(joinPath(directory, "state", "identity.json"))).mode & 0o777).toBe(0o600);
  const seen = new Promise((resolve) => {
    server.onSession = (_session, host) => resolve(host);
  });
  const { client, close } = createChannelAndClient(HostFeedServiceDefinition, {
    address: server.address,
    ca: identity.caBundle,
    cert: identity.certificate,
    key: identity.key,
  });
  const aborter = new AbortController();
  const stream = client.connect(neverEnding(aborter.signal), { signal: aborter.signal })[Symbol.asyncIterator]();
  const first = stream.next();
  expect(await seen).toBe(hostId);
  aborter.abort();
  await expect(first).rejects.toThrow();
  close();
});

it("repeats a join whose answer was lost with the same key", async () => {
  await join(options());
  await rm(joinPath(directory, "state", "identity.json"));
  await join(options());
  const [first, second] = server.joins.map(({ csr }) => csr.toString("hex"));
  expect(first).toBe(second);
});

const keyIn = (csr: Buffer | Uint8Array): string =>
  Buffer.from(new Pkcs10CertificateRequest(Uint8Array.from(csr)).publicKey.rawData).toString("hex");
const publicKeyOf = (pem: string): string => createPublicKey(pem).export({ format: "der", type: "spki" }).toString("hex");

it("joins with the key that it was renewed with: by that the coordinator knows it", async () => {
  const identity = await join(options());
  const { key } = await createHostRequest();
  await store.save({ ...identity, key });
  const again = await join(options());
  expect(again.key).toBe(key);
  expect(server.joins.map(({ csr }) => keyIn(csr))).toEqual([publicKeyOf(identity.key), publicKeyOf(key)]);
});

it("tells nothing to a server that is not the token's", async () => {
  await expect(join(options(newJoinToken("0".repeat(64))))).rejects.toThrow(/not the installation that issued the join token/);
  expect(server.joins).toEqual([]);
});

it("does not insist when the coordinator refuses", async () => {
  server.onJoin = () => {
    throw unauthenticated("the join token has ended", "BAD_JOIN_TOKEN");
  };
  await expect(join(options())).rejects.toThrow(/the join token has ended/);
  expect(server.joins).toHaveLength(1);
  expect(await store.load()).toBeUndefined();
});

it("waits for a control plane that is not there yet", async () => {
  const { address } = server;
  await server.stop();
  const joined = join(options(undefined, address));
  server = await FeedServer.start({ ca, address });
  server.onJoin = () => hostId;
  expect((await joined).hostId).toBe(hostId);
});

it("waits for a control plane that takes the connection and says nothing: its machine may be starting", async () => {
  const path = joinPath(directory, "mute.sock");
  const mute = createServer().listen(path);
  await once(mute, "listening");
  try {
    // What `join` tries again after.
    await expect(fetchRoot(`unix:${path}`, ca.fingerprint, 50)).rejects.toMatchObject({ code: "ETIMEDOUT" });
  } finally {
    mute.close();
  }
});

it.each(["", "plenum-join.xyz", "secret"])("refuses %j as a token", async (text) => {
  await expect(join(options(text))).rejects.toThrow(/the join token is not one/);
});

it("does not take a broken identity for none", async () => {
  await join(options());
  await writeFile(joinPath(directory, "state", "identity.json"), "{}");
  await expect(store.load()).rejects.toThrow();
});

it("renews with a new key once half of the certificate's life is over, also after a failure", async () => {
  const old = await join(options());
  const { from, to } = validity(old.certificate);
  expect(renewalTime(old.certificate) - from).toBe((to - from) / 2);
  // One whose half-life is long over.
  let current = { ...old, certificate: (await ca.issueUri(`spiffe://plenum/host/${hostId}`, 1_000)).cert };
  const aborter = new AbortController();
  let calls = 0;
  const keys: string[] = [];
  const client = {
    renewCertificate: async ({ csr }: { csr?: Buffer | Uint8Array }) => {
      calls += 1;
      keys.push(keyIn(csr ?? Buffer.of()));
      if (calls === 1) throw new Error("the coordinator is away");
      const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(csr ?? []).toString("base64")}\n-----END CERTIFICATE REQUEST-----`;
      return { certificate: (await ca.signHost(pem, hostId)).cert, caBundle: ca.ca };
    },
  };
  const renewed = await new Promise<typeof current>((resolve) => {
    void keepRenewed({
      endpoint: server.address,
      store,
      log: silentLog(),
      signal: aborter.signal,
      current: () => current,
      renewed: (next) => {
        current = next;
        resolve(next);
      },
      client: client as never,
    });
  });
  aborter.abort();
  expect(calls).toBe(2);
  expect(renewed.key).not.toBe(old.key);
  // The first answer may have been lost only: the coordinator then knows this key and the old one, and no third.
  expect(keys).toEqual([publicKeyOf(renewed.key), publicKeyOf(renewed.key)]);
  expect((await store.renewalKey(renewed)).key).not.toBe(renewed.key);
  expect(await store.load()).toEqual(renewed);
  expect(renewed.hostId).toBe(hostId);
});

async function* neverEnding(signal: AbortSignal): AsyncGenerator<never> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
