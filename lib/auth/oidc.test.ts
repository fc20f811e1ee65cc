import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { CryptoKey, JWK } from "jose";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createOidcVerifier, oidcIssuer } from "./oidc.ts";
import type { OidcIssuer } from "./oidc.ts";
import { openTokenIssuer } from "./token.ts";
import { anyIssuer, readOidcIssuers } from "./verifiers.ts";

let server: Server;
let url: string;
let keys: Map<string, { jwk: JWK; privateKey: CryptoKey }>;
let published: string[];
let claimed: string;
let reads: number;

const newKey = async (kid: string): Promise<void> => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  keys.set(kid, { jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256" }, privateKey });
};

beforeAll(async () => {
  server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/.well-known/openid-configuration") {
      response.end(JSON.stringify({ issuer: claimed, jwks_uri: `${url}/keys` }));
    } else if (request.url === "/keys") {
      reads += 1;
      response.end(JSON.stringify({ keys: published.map((kid) => keys.get(kid)?.jwk) }));
    } else {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(async () => {
  keys = new Map();
  published = ["one"];
  claimed = url;
  reads = 0;
  await newKey("one");
});

const issuer = (more: object = {}): OidcIssuer =>
  oidcIssuer.parse({ name: "corp", issuer: url, audience: "plenum", accountClaim: "org", roleClaim: "groups", ...more });

interface Token {
  readonly claims?: Record<string, unknown>;
  readonly kid?: string;
  readonly signedBy?: string;
  readonly iss?: string;
  readonly aud?: string;
  readonly exp?: string | number;
  readonly iat?: number;
}

const sign = ({ claims = {}, kid = "one", signedBy = kid, iss = url, aud = "plenum", exp = "5m", iat }: Token = {}): Promise<string> =>
  new SignJWT({ org: "acct-1", groups: ["owner"], ...claims })
    .setProtectedHeader({ alg: "ES256", kid })
    .setSubject("alice")
    .setIssuer(iss)
    .setAudience(aud)
    .setIssuedAt(iat)
    .setExpirationTime(exp)
    .sign(keys.get(signedBy)?.privateKey ?? new Uint8Array());

describe("an OIDC issuer's token", () => {
  it("is verified by the keys that the issuer publishes, which are read once", async () => {
    const verifier = createOidcVerifier(issuer());
    const caller = { kind: "account", principalId: "corp:alice", accountId: "acct-1", roles: ["owner"] };
    expect(await verifier.verify(await sign())).toMatchObject(caller);
    expect(await verifier.verify(await sign())).toMatchObject(caller);
    expect((await verifier.verify(await sign())).token?.issuedAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(reads).toBe(1);
  });

  it.each([
    ["another audience", { aud: "else" }],
    ["another issuer", { iss: "http://127.0.0.1:1" }],
    ["its time over", { exp: Math.floor(Date.now() / 1_000) - 60 }],
    ["its beginning in the future, which no revocation would reach", { iat: Math.floor(Date.now() / 1_000) + 60 }],
    ["no account", { claims: { org: undefined } }],
    ["an empty account", { claims: { org: "" } }],
    ["no role that we know", { claims: { groups: ["staff"] } }],
    ["the role of operator, which this issuer may not give", { claims: { groups: ["operator"], org: undefined } }],
  ] satisfies [string, Token][])("with %s is refused", async (_title, token) => {
    await expect(createOidcVerifier(issuer()).verify(await sign(token))).rejects.toThrow();
  });

  it.each([
    ["account", { org: "acct-1\0" }, "NUL"],
    ["account", { org: "acct-\ud83d" }, "half of a surrogate pair"],
    ["principal", { name: "al\0ice" }, "U+0000"],
  ])("whose %s the database cannot hold is refused: %j", async (_title, claims, fault) => {
    const verifier = createOidcVerifier(issuer({ principalClaim: "name" }));
    const token = (more: object) => sign({ claims: { name: "alice", ...more } });
    await expect(verifier.verify(await token({}))).resolves.toMatchObject({ principalId: "corp:alice" });
    await expect(verifier.verify(await token(claims))).rejects.toThrow(fault);
  });

  it("signed by another key is refused, whatever key it names", async () => {
    await newKey("two");
    await expect(createOidcVerifier(issuer()).verify(await sign({ kid: "one", signedBy: "two" }))).rejects.toThrow();
    await expect(createOidcVerifier(issuer()).verify(await sign({ kid: "two" }))).rejects.toThrow();
    const unsigned = [{ alg: "none" }, { iss: url, aud: "plenum", sub: "alice", org: "acct-1", groups: ["owner"], exp: 9e9, iat: 1 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    await expect(createOidcVerifier(issuer()).verify(`${unsigned}.`)).rejects.toThrow();
  });

  it("means what the mapping says", async () => {
    const words = issuer({ roles: { admins: "owner", staff: "viewer" }, principalClaim: "email" });
    const token = await sign({ claims: { groups: ["admins", "cooks"], email: "a@b.example" } });
    expect(await createOidcVerifier(words).verify(token)).toMatchObject({ principalId: "corp:a@b.example", roles: ["owner"] });
    const unseen = await sign({ claims: { groups: ["admins"], email: "a\u200b@b.example" } });
    await expect(createOidcVerifier(words).verify(unseen)).rejects.toThrow("corp's email has U+200B as its character 2");
    const fixed = issuer({ accountClaim: undefined, account: "acct-7", roleClaim: undefined });
    expect(await createOidcVerifier(fixed).verify(await sign())).toMatchObject({ accountId: "acct-7", roles: ["viewer"] });
    const trusted = createOidcVerifier(issuer({ operators: true }));
    const operator = await sign({ claims: { groups: "operator" } });
    expect(await trusted.verify(operator)).toMatchObject({
      kind: "operator",
      principalId: "corp:alice",
      accountId: "",
      roles: ["operator"],
    });
  });

  it("is refused while the issuer speaks of another, and taken once it does not", async () => {
    const verifier = createOidcVerifier(issuer());
    claimed = "http://127.0.0.1:1";
    await expect(verifier.verify(await sign())).rejects.toThrow("speaks of");
    claimed = url;
    expect((await verifier.verify(await sign())).principalId).toBe("corp:alice");
  });
});

describe("the list of issuers", () => {
  it("stands beside the built-in one, and neither speaks for the other", async () => {
    const directory = await mkdtemp(join(tmpdir(), "plenum-oidc-"));
    try {
      const builtIn = await openTokenIssuer(directory);
      const verifier = anyIssuer(builtIn, [issuer()]);
      const { token } = await builtIn.issue({ principalId: "bob", accountId: "acct-2", roles: ["viewer"] });
      expect(await verifier.verify(token)).toMatchObject({ principalId: "bob" });
      expect(await verifier.verify(await sign())).toMatchObject({ principalId: "corp:alice" });
      await expect(verifier.verify(await sign({ iss: "plenum" }))).rejects.toThrow();
      await expect(verifier.verify("garbage")).rejects.toThrow();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it("is read from a file, whose faults are named", async () => {
    const directory = await mkdtemp(join(tmpdir(), "plenum-oidc-"));
    const file = join(directory, "issuers.json");
    try {
      const one = { name: "corp", issuer: url, audience: "plenum", account: "acct-1" };
      await writeFile(file, JSON.stringify([one]));
      expect(await readOidcIssuers(file)).toMatchObject([{ ...one, role: "viewer", operators: false }]);
      for (const wrong of [[{ ...one, issuer: "ftp://x" }], [one, one], [{ ...one, accountClaim: "org" }], [{ ...one, typo: 1 }], {}]) {
        await writeFile(file, JSON.stringify(wrong));
        await expect(readOidcIssuers(file)).rejects.toThrow(file);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
