import { connect } from "node:net";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client, credentials, Metadata as GrpcMetadata } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { Metadata, Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { openCertificateAuthority, SERVER_NAME } from "../auth/ca.ts";
import type { CertificateAuthority } from "../auth/ca.ts";
import { openTokenIssuer } from "../auth/token.ts";
import type { TokenIssuer } from "../auth/token.ts";
import { testDirectory } from "../db/testing.ts";
import { newId } from "../ids/ids.ts";
import { silentLog } from "../log/log.ts";
import { PEER_URI_HEADER } from "./peer.ts";
import { bind, callFailure, createChannelAndClient, hostUri, notFound, startServer } from "./rpc.ts";
import type { CallFailure, ChannelSettings, RpcServer, ServerContext } from "./rpc.ts";

const run = promisify(execFile);
const BUF = join(import.meta.dirname, "../../node_modules/.bin/buf");
const IMAGE = join(import.meta.dirname, "../../gen/plenum.binpb");

/** Handlers that show what they were given, or fail in a chosen way. */
const service = bind(TokenServiceDefinition, {
  issueToken(request) {
    if (request.principalId === "missing") throw notFound("account", "acct-1");
    if (request.principalId === "bug") throw new TypeError("secret detail");
    if (request.principalId === "database") throw Object.assign(new Error("no"), { code: "57P01" });
    return Promise.resolve({ token: request.principalId });
  },
  whoAmI(_request, context: ServerContext) {
    const { caller, action } = context;
    return Promise.resolve({
      accountId: `${caller.kind} ${caller.accountId}`,
      principalId: caller.principalId,
      role: action === "identity:WhoAmI" ? Role.OWNER : Role.UNSPECIFIED,
    });
  },
});

describe("a Plenum server", () => {
  let directory: string;
  let ca: CertificateAuthority;
  let tokens: TokenIssuer;
  let server: RpcServer;
  let unix: string;
  let tcp: string;
  const closers: (() => void)[] = [];

  beforeAll(async () => {
    directory = await testDirectory("rpc");
    ca = await openCertificateAuthority(join(directory, "ca"));
    tokens = await openTokenIssuer(join(directory, "tokens"));
    const { cert, key } = await ca.issueServer(["localhost", "127.0.0.1"]);
    unix = `unix:${join(directory, "api.sock")}`;
    const tls = { cert, key, ca: ca.ca, requestClientCert: true };
    server = await startServer({
      listeners: [
        { address: unix, tls },
        { address: "127.0.0.1:0", tls },
      ],
      services: [service],
      log: silentLog(),
      verifier: tokens,
      descriptorImage: await readFile(IMAGE),
    });
    tcp = server.addresses[1]!;
  });
  afterAll(async () => {
    for (const close of closers) close();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const client = (settings: Partial<ChannelSettings> = {}) => {
    const made = createChannelAndClient(TokenServiceDefinition, { address: tcp, ca: ca.ca, ...settings });
    closers.push(made.close);
    return made.client;
  };
  const ownerToken = async (): Promise<string> => (await tokens.issue({ principalId: "ann", accountId: "acct-1", roles: ["owner"] })).token;
  const failure = async (call: Promise<unknown>): Promise<CallFailure> => {
    const error = await call.then(
      () => expect.unreachable("the call went through"),
      (thrown: unknown) => thrown,
    );
    return callFailure(error) ?? expect.unreachable(String(error));
  };

  it.each(["unix", "tcp"])("knows the bearer of a token over %s, and the RPC's action", async (kind) => {
    const answer = await client({ address: kind === "unix" ? unix : tcp, token: await ownerToken() }).whoAmI({});
    expect(answer).toEqual({ accountId: "account acct-1", principalId: "ann", role: Role.OWNER, instanceId: "" });
  });

  it("knows a host by its certificate", async () => {
    const hostId = newId("host");
    const mine = await ca.issueUri(hostUri(hostId), 60_000);
    expect(await client({ cert: mine.cert, key: mine.key }).whoAmI({})).toMatchObject({ accountId: "host ", principalId: hostId });
  });

  it("believes neither a header nor a stranger's certificate", async () => {
    const hostId = newId("host");
    const metadata = Metadata({ [PEER_URI_HEADER]: hostUri(hostId) });
    expect(await failure(client().whoAmI({}, { metadata }))).toMatchObject({ status: "UNAUTHENTICATED", reason: "NO_VALID_TOKEN" });
    const stranger = await openCertificateAuthority(join(directory, "stranger"));
    const theirs = await stranger.issueUri(hostUri(hostId), 60_000);
    expect(await failure(client({ cert: theirs.cert, key: theirs.key }).whoAmI({}))).toMatchObject({ status: "UNAUTHENTICATED" });
  });

  it("refuses no token, a broken one and another installation's", async () => {
    const other = await openTokenIssuer(join(directory, "other"));
    const foreign = await other.issue({ principalId: "ann", accountId: "acct-1", roles: ["owner"] });
    for (const token of [undefined, "x.y.z", foreign.token]) {
      expect(await failure(client({ token }).whoAmI({}))).toMatchObject({ status: "UNAUTHENTICATED", reason: "NO_VALID_TOKEN" });
    }
  });

  it("says what is wrong with a token that is signed and names what cannot be", async () => {
    const via = { instanceId: "i-\0", hostId: "host-1", generation: 1n };
    const { token } = await tokens.issue({ principalId: "ann", accountId: "acct-1", roles: ["owner"], via });
    expect(await failure(client({ token }).whoAmI({}))).toMatchObject({
      status: "UNAUTHENTICATED",
      reason: "NO_VALID_TOKEN",
      message: "the token's via.instance has a NUL character",
    });
  });

  it("sends reason, facts and message of our errors", async () => {
    const call = client({ token: await ownerToken() }).issueToken({ principalId: "missing" });
    expect(await failure(call)).toEqual({
      code: Status.NOT_FOUND,
      status: "NOT_FOUND",
      message: "there is no account acct-1, or it is not yours to see",
      reason: "RESOURCE_NOT_FOUND",
      facts: { kind: "account", id: "acct-1" },
      violations: [],
    });
  });

  it("tells nothing of a bug but its error id, and calls a database that is away UNAVAILABLE", async () => {
    const token = await ownerToken();
    const bug = await failure(client({ token }).issueToken({ principalId: "bug" }));
    expect(bug).toMatchObject({ status: "INTERNAL", reason: "INTERNAL" });
    expect(bug.facts["error_id"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.stringify(bug)).not.toContain("secret");
    expect(await failure(client({ token }).issueToken({ principalId: "database" }))).toMatchObject({
      status: "UNAVAILABLE",
      reason: "UNAVAILABLE",
    });
  });

  it("answers bytes that are no message with INVALID_ARGUMENT", async () => {
    const raw = new Client(tcp, credentials.createSsl(Buffer.from(ca.ca)), { "grpc.ssl_target_name_override": SERVER_NAME });
    closers.push(() => raw.close());
    const metadata = new GrpcMetadata();
    metadata.set("authorization", `Bearer ${await ownerToken()}`);
    const identity = (bytes: Buffer): Buffer => bytes;
    // Field 1 is said to have 127 bytes and has one.
    const error = await new Promise<ServiceError | null>((resolve) => {
      raw.makeUnaryRequest(
        "/plenum.identity.v1.TokenService/WhoAmI",
        identity,
        identity,
        Buffer.from([0x0a, 0x7f, 0x41]),
        metadata,
        resolve,
      );
    });
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT });
  });

  it("answers reflection over v1 and v1alpha as buf curl asks it", async () => {
    const caFile = join(directory, "ca.pem");
    await writeFile(caFile, ca.ca);
    for (const protocol of ["grpc-v1", "grpc-v1alpha"]) {
      const { stdout } = await run(BUF, [
        "curl",
        "--protocol",
        "grpc",
        "--reflect",
        "--reflect-protocol",
        protocol,
        "--cacert",
        caFile,
        "--header",
        `authorization: Bearer ${await ownerToken()}`,
        `https://${tcp.replace("127.0.0.1", "localhost")}/plenum.identity.v1.TokenService/WhoAmI`,
      ]);
      expect(JSON.parse(stdout)).toMatchObject({ principalId: "ann" });
    }
  });

  it("has a socket that only its owner can open", async () => {
    const socket = connect(unix.slice("unix:".length));
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.destroy();
    expect((await stat(unix.slice("unix:".length))).mode & 0o777).toBe(0o600);
  });
});
