import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Client, credentials, Metadata as GrpcMetadata } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { Status } from "nice-grpc-common";
import { HealthDefinition } from "nice-grpc-server-health";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import type { WatchMappingsRequest } from "#gen/plenum/mapping/v1/mapping.ts";
import { openCertificateAuthority } from "../auth/ca.ts";
import { testDirectory } from "../db/testing.ts";
import { newId } from "../ids/ids.ts";
import { silentLog } from "../log/log.ts";
import { CLOCK_TOLERANCE_S } from "./caller.ts";
import type { TokenVerifier } from "./caller.ts";
import { bind, callFailure, createChannelAndClient, hostUri, startServer } from "./rpc.ts";
import type { RpcServer, ServerContext, ServerOptions, ServiceBinding } from "./rpc.ts";

const everybody: TokenVerifier = {
  verify: () => Promise.resolve({ kind: "operator", principalId: "op", accountId: "", roles: ["operator"] }),
};

const never = () => new Promise<never>(() => undefined);
const refuse = () => Promise.reject(new Error("not called in this test"));

function watching(
  watchMappings: (requests: AsyncIterable<WatchMappingsRequest>, context: ServerContext) => AsyncGenerator<object>,
): ServiceBinding {
  return bind(MappingServiceDefinition, { lookupMapping: refuse, batchLookupMappings: refuse, watchMappings });
}

describe("a server's life", () => {
  let directory: string;
  const closers: (() => unknown)[] = [];
  beforeEach(async () => {
    directory = await testDirectory("server");
    closers.push(() => rm(directory, { recursive: true, force: true }));
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  async function serve(services: ServiceBinding[], options: Partial<ServerOptions> = {}): Promise<RpcServer> {
    const server = await startServer({
      listeners: [{ address: "127.0.0.1:0" }],
      services,
      log: silentLog(),
      verifier: everybody,
      ...options,
    });
    closers.push(() => server.stop(100));
    return server;
  }
  const clientOf = <D extends Parameters<typeof createChannelAndClient>[0]>(definition: D, server: RpcServer) => {
    const { client, close } = createChannelAndClient(definition, { address: server.addresses[0]!, token: "t" });
    closers.push(close);
    return client;
  };
  const failureOf = async (work: Promise<unknown>) =>
    callFailure(
      await work.then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
  async function drain(stream: AsyncIterable<unknown>): Promise<number> {
    let count = 0;
    for await (const _ of stream) count += 1;
    return count;
  }
  async function* silence(until: Promise<unknown>): AsyncGenerator<object> {
    await until;
  }

  it("ends streams whose handler is stuck with UNAVAILABLE, and lets a unary call finish", async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = await serve([
      watching(async function* () {
        yield {};
        await never();
      }),
      bind(TokenServiceDefinition, {
        issueToken: refuse,
        async whoAmI() {
          entered.resolve();
          await release.promise;
          return { principalId: "finished" };
        },
      }),
    ]);
    const first = Promise.withResolvers<void>();
    const watch = (async () => {
      for await (const _ of clientOf(MappingServiceDefinition, server).watchMappings(silence(never()))) first.resolve();
    })();
    const unary = clientOf(TokenServiceDefinition, server).whoAmI({});
    await Promise.all([first.promise, entered.promise]);
    const stopped = server.stop(5_000);
    expect(await failureOf(watch)).toMatchObject({ status: "UNAVAILABLE", reason: "UNAVAILABLE" });
    release.resolve();
    expect(await unary).toMatchObject({ principalId: "finished" });
    await stopped;
  });

  it("ends a stream with the token that opened it, as a new call is refused, and lets a unary call finish", async () => {
    const expiresAt = new Date(Date.now() + 300);
    const verify: TokenVerifier["verify"] = async (token) => {
      if (Date.now() >= expiresAt.getTime()) throw new Error("expired");
      const times = { issuedAt: new Date(0), expiresAt: new Date(expiresAt.getTime() - CLOCK_TOLERANCE_S * 1_000) };
      return { ...(await everybody.verify(token)), token: times };
    };
    const release = Promise.withResolvers<void>();
    const services = [
      watching(async function* () {
        yield {};
        await never();
      }),
      bind(TokenServiceDefinition, {
        issueToken: refuse,
        async whoAmI() {
          await release.promise;
          return { principalId: "finished" };
        },
      }),
    ];
    const server = await serve(services, { verifier: { verify } });
    const unary = clientOf(TokenServiceDefinition, server).whoAmI({});
    const watch = () => drain(clientOf(MappingServiceDefinition, server).watchMappings(silence(never())));
    const ended = await failureOf(watch());
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
    const refused = await failureOf(watch());
    expect(ended).toMatchObject({ status: "UNAUTHENTICATED", reason: "NO_VALID_TOKEN" });
    expect(ended?.message).toBe(refused?.message);
    release.resolve();
    expect(await unary).toMatchObject({ principalId: "finished" });
  });

  it("ends a host's stream with the certificate of its connection, and takes no more calls over that", async () => {
    const ca = await openCertificateAuthority(directory);
    const tls = { ...(await ca.issueServer(["localhost"])), ca: ca.ca, requestClientCert: true };
    const services = [
      watching(async function* () {
        yield {};
        await never();
      }),
    ];
    const server = await serve(services, { listeners: [{ address: "127.0.0.1:0", tls }] });
    const connect = async (validMs: number) => {
      const own = await ca.issueUri(hostUri(newId("host")), validMs);
      const settings = { address: server.addresses[0]!, ca: ca.ca, serverName: "localhost", ...own };
      const { client, close } = createChannelAndClient(MappingServiceDefinition, settings);
      closers.push(close);
      return { watch: () => drain(client.watchMappings(silence(never()))), end: Date.parse(new X509Certificate(own.cert).validTo) };
    };
    const lasting = await connect(60_000);
    const open = lasting.watch().then(
      () => "ended",
      () => "failed",
    );
    const { watch, end } = await connect(2_500); // in whole seconds: 1.5 s at least
    const ended = await failureOf(watch());
    expect(Date.now()).toBeGreaterThanOrEqual(end);
    expect(ended).toMatchObject({ status: "UNAUTHENTICATED", reason: "NO_VALID_TOKEN" });
    expect(ended?.message).toContain("certificate of this connection has ended");
    expect(await failureOf(watch())).toEqual(ended);
    expect(await Promise.race([open, Promise.resolve("open")])).toBe("open");
  });

  it("cuts a unary call that does not finish in time", async () => {
    const entered = Promise.withResolvers<void>();
    const server = await serve([
      bind(TokenServiceDefinition, {
        issueToken: refuse,
        whoAmI() {
          entered.resolve();
          return never();
        },
      }),
    ]);
    const call = failureOf(clientOf(TokenServiceDefinition, server).whoAmI({}));
    await entered.promise;
    await server.stop(50);
    expect(await call).toBeDefined();
  });

  type Wait = (requests: AsyncIterable<unknown>, signal: AbortSignal) => Promise<unknown>;
  it.each<[string, Wait]>([
    ["for requests", (requests) => drain(requests)],
    ["for its signal", (_, signal) => new Promise((resolve) => signal.addEventListener("abort", resolve))],
  ])("ends a handler's wait %s when the caller is gone, and the caller's own stuck requests", async (_what, wait) => {
    const ended = Promise.withResolvers<void>();
    const server = await serve([
      watching(async function* (requests, { signal }) {
        yield {};
        await wait(requests, signal).finally(() => ended.resolve());
      }),
    ]);
    const aborter = new AbortController();
    const stream = clientOf(MappingServiceDefinition, server).watchMappings(silence(never()), { signal: aborter.signal });
    const read = async () => {
      for await (const _ of stream) aborter.abort();
    };
    await expect(read()).rejects.toThrow(/aborted/);
    await ended.promise;
  });

  it("refuses bytes that are no message within a stream too", async () => {
    const server = await serve([
      watching(async function* (requests) {
        for await (const _ of requests) yield {};
      }),
    ]);
    const raw = new Client(server.addresses[0]!, credentials.createInsecure());
    closers.push(() => raw.close());
    const metadata = new GrpcMetadata();
    metadata.set("authorization", "Bearer t");
    const identity = (bytes: Buffer): Buffer => bytes;
    const stream = raw.makeBidiStreamRequest("/plenum.mapping.v1.MappingService/WatchMappings", identity, identity, metadata);
    const error = new Promise<ServiceError>((resolve) => stream.on("error", resolve));
    stream.on("data", () => undefined);
    stream.write(Buffer.from([0x0a, 0x7f, 0x41]));
    expect((await error).code).toBe(Status.INVALID_ARGUMENT);
  });

  it("streams thousands of messages through", async () => {
    const server = await serve([
      watching(async function* (requests) {
        for await (const _ of requests) yield {};
      }),
    ]);
    async function* many() {
      for (let index = 0; index < 5_000; index += 1) yield {};
    }
    expect(await drain(clientOf(MappingServiceDefinition, server).watchMappings(many()))).toBe(5_000);
  });

  it("tells health to whoever asks, without a token, and every change to whoever watches", async () => {
    const server = await serve([watching(silence.bind(undefined, never()))]);
    const { client, close } = createChannelAndClient(HealthDefinition, { address: server.addresses[0]! });
    closers.push(close);
    const service = "plenum.mapping.v1.MappingService";
    expect(await client.check({ service })).toEqual({ status: 1 });
    expect(await failureOf(client.check({ service: "nobody" }))).toMatchObject({ status: "NOT_FOUND" });
    const aborter = new AbortController();
    const seen: number[] = [];
    const next = [() => server.health.set(service, false), () => server.health.set(service, true), () => aborter.abort()];
    await expect(async () => {
      for await (const { status } of client.watch({ service }, { signal: aborter.signal })) {
        seen.push(status);
        next.shift()?.();
      }
    }).rejects.toThrow();
    expect(seen).toEqual([1, 2, 1]);
  });

  it("is not ready before it listens, and not when it stops", async () => {
    const server = await serve([watching(silence.bind(undefined, never()))]);
    expect(server.health.get("")).toBe(true);
    await server.stop();
    expect(server.health.get("")).toBe(false);
  });

  it("refuses to start with an RPC that has no action, or no handler", async () => {
    const withoutAction = { ...TokenServiceDefinition, methods: { whoAmI: { ...TokenServiceDefinition.methods.whoAmI, options: {} } } };
    await expect(serve([{ definition: withoutAction as never, implementation: { whoAmI: refuse } }])).rejects.toThrow(/WhoAmI/);
    await expect(serve([{ definition: TokenServiceDefinition, implementation: { whoAmI: refuse } }])).rejects.toThrow(
      /nothing implements issueToken/,
    );
  });

  it("takes over the socket of a dead process, not of a live one, and never a file", async () => {
    const path = join(directory, "api.sock");
    const listeners = [{ address: `unix:${path}` }];
    const live = createServer().listen(path);
    closers.push(() => live.close());
    await new Promise((resolve) => live.once("listening", resolve));
    const services = [watching(silence.bind(undefined, never()))];
    await expect(serve(services, { listeners })).rejects.toThrow(/served by another process/);
    const file = join(directory, "file");
    await writeFile(file, "");
    await expect(serve(services, { listeners: [{ address: `unix:${file}` }] })).rejects.toThrow(/not a socket/);
    // A process that is killed leaves its socket: bind one in a process of its own and let it die.
    const stale = join(directory, "stale.sock");
    spawnSync(process.execPath, [
      "-e",
      `require("node:net").createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, "SIGKILL"))`,
    ]);
    const server = await serve(services, { listeners: [{ address: `unix:${stale}` }] });
    expect(server.addresses).toEqual([`unix:${stale}`]);
  });

  it("counts calls by outcome", async () => {
    const calls: string[] = [];
    const server = await serve([bind(TokenServiceDefinition, { issueToken: refuse, whoAmI: () => Promise.resolve({}) })], {
      observe: ({ method, code, seconds }) => calls.push(`${method} ${code} ${seconds >= 0}`),
    });
    const client = clientOf(TokenServiceDefinition, server);
    await client.whoAmI({});
    await failureOf(client.issueToken({}));
    const path = "/plenum.identity.v1.TokenService";
    await expect.poll(() => calls).toEqual([`${path}/WhoAmI OK true`, `${path}/IssueToken INTERNAL true`]);
  });
});
