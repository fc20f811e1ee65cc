import { createPrivateKey, X509Certificate } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { decodeJwt, SignJWT, UnsecuredJWT } from "jose";
import { Status } from "nice-grpc-common";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { testDirectory } from "../db/testing.ts";
import { newId } from "../ids/ids.ts";
import { hostUri } from "../rpc/caller.ts";
import { certificateFingerprint, createHostRequest, openCertificateAuthority } from "./ca.ts";
import { newJoinToken, parseJoinToken } from "./join-token.ts";
import { derOf } from "./pem.ts";
import { callerOfClaims, openTokenIssuer, timesOfClaims } from "./token.ts";

const failure = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

let directory: string;
beforeEach(async () => {
  directory = await testDirectory("auth");
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(directory, { recursive: true, force: true });
});

describe("the certificate authority", () => {
  it("is the same for whoever opens it, also at the same moment, and its key is its owner's", async () => {
    const opened = await Promise.all([1, 2, 3].map(() => openCertificateAuthority(directory)));
    expect(new Set(opened.map(({ ca }) => ca)).size).toBe(1);
    expect(opened[0]!.fingerprint).toBe(certificateFingerprint(opened[0]!.ca));
    expect((await stat(join(directory, "ca.json"))).mode & 0o777).toBe(0o600);
  });

  it("makes server certificates for names and addresses", async () => {
    const ca = await openCertificateAuthority(directory);
    const { cert, key } = await ca.issueServer(["localhost", "127.0.0.1", "::1"]);
    const parsed = new X509Certificate(cert);
    expect(parsed.verify(new X509Certificate(ca.ca).publicKey)).toBe(true);
    expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
    for (const name of ["localhost", "plenum"]) expect(parsed.checkHost(name)).toBe(name);
    for (const ip of ["127.0.0.1", "::1"]) expect(parsed.checkIP(ip)).toBe(ip);
    expect(parsed.checkHost("example.com")).toBeUndefined();
    expect(parsed.ca).toBe(false);
  });

  it("is proved by what a server shows, to a host that knows only its hash", async () => {
    const ca = await openCertificateAuthority(directory);
    const { cert } = await ca.issueServer(["localhost"]);
    const chain = cert.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)!;
    const token = parseJoinToken(newJoinToken(ca.fingerprint))!;
    expect(chain.map(certificateFingerprint)).toContain(token.caFingerprint);
    expect(token.secret).toHaveLength(43);
    expect(newJoinToken(ca.fingerprint)).not.toBe(newJoinToken(ca.fingerprint));
    for (const text of ["", "plenum-join..", newJoinToken(ca.fingerprint).slice(0, -1), newJoinToken("abc")])
      expect(parseJoinToken(text)).toBeUndefined();
  });

  it("signs a host's request with our name for it, for a day", async () => {
    const ca = await openCertificateAuthority(directory);
    const hostId = newId("host");
    const { csr, key } = await createHostRequest();
    const { cert, notAfter, serial } = await ca.signHost(csr, hostId);
    const parsed = new X509Certificate(cert);
    expect(parsed.subjectAltName).toBe(`URI:${hostUri(hostId)}`);
    expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(parsed.serialNumber.toLowerCase().padStart(32, "0")).toBe(serial);
    expect(parsed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]); // client authentication only
    expect(new Date(parsed.validTo).getTime()).toBe(Math.floor(notAfter.getTime() / 1_000) * 1_000);
    const hours = (notAfter.getTime() - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(23.9);
    expect(hours).toBeLessThanOrEqual(24);
  });

  it("signs nothing that is no request, or whose signature is broken", async () => {
    const ca = await openCertificateAuthority(directory);
    await expect(ca.signHost("nonsense", newId("host"))).rejects.toThrow();
    const { csr } = await createHostRequest();
    const der = derOf(csr);
    der[der.length - 5] = (der[der.length - 5] ?? 0) ^ 1;
    const broken = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----`;
    await expect(ca.signHost(broken, newId("host"))).rejects.toThrow();
  });
});

describe("the token issuer", () => {
  it("says for which instance a token is, and by which host; never for an operator", async () => {
    const issuer = await openTokenIssuer(directory);
    const via = { instanceId: "i-1", hostId: "host-1", generation: 2n ** 62n };
    const { token } = await issuer.issue({ principalId: "robot", accountId: "acct-1", roles: ["member"], ttlSeconds: 60, via });
    expect((await issuer.verify(token)).via).toEqual(via);
    // One that does not know what such a token stands for looks for another audience.
    expect(decodeJwt(token).aud).not.toBe(
      decodeJwt((await issuer.issue({ principalId: "root", accountId: "", roles: ["operator"] })).token).aud,
    );
    await expect(issuer.issue({ principalId: "root", accountId: "", roles: ["operator"], via })).rejects.toThrow(
      "no instance is an operator",
    );
  });

  it("knows its own tokens, also after a restart", async () => {
    const issuer = await openTokenIssuer(directory);
    const { token, expiresAt } = await issuer.issue({ principalId: "ann", accountId: "acct-1", roles: ["owner"], ttlSeconds: 60 });
    const again = await openTokenIssuer(directory);
    const { token: times, ...caller } = await again.verify(token);
    expect(caller).toEqual({ kind: "account", principalId: "ann", accountId: "acct-1", roles: ["owner"] });
    expect(times?.expiresAt).toEqual(expiresAt);
    expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(58_000);
    const operator = await issuer.issue({ principalId: "op", accountId: "", roles: ["operator"] });
    expect(await issuer.verify(operator.token)).toMatchObject({ kind: "operator", principalId: "op", accountId: "", roles: ["operator"] });
  });

  it("says when a token was issued, to the millisecond that it was given", async () => {
    const issuer = await openTokenIssuer(directory);
    const issuedAt = new Date(Math.floor(Date.now() / 1_000) * 1_000 + 789);
    const { token, expiresAt } = await issuer.issue({ principalId: "op", accountId: "", roles: ["operator"], ttlSeconds: 60, issuedAt });
    expect((await issuer.verify(token)).token).toEqual({ issuedAt, expiresAt });
    expect(expiresAt.getTime()).toBe(issuedAt.getTime() - 789 + 60_000);
  });

  it("issues none that is an operator's and an account's, or that lives too short or long", async () => {
    const issuer = await openTokenIssuer(directory);
    const base = { principalId: "ann", accountId: "acct-1", roles: ["owner"] as const };
    await expect(issuer.issue({ ...base, roles: ["operator"] })).rejects.toThrow();
    await expect(issuer.issue({ ...base, accountId: "" })).rejects.toThrow();
    await expect(issuer.issue({ ...base, roles: [] })).rejects.toThrow();
    for (const ttlSeconds of [59, 90 * 86_400 + 1, 60.5]) await expect(issuer.issue({ ...base, ttlSeconds })).rejects.toThrow(RangeError);
  });

  it.each([
    ["sub", { sub: "a\0b" }, "a NUL character"],
    ["sub", { sub: "a\ud800" }, "half of a surrogate pair"],
    ["sub", { sub: "a".repeat(257) }, "more than 256 characters"],
    ["account", { account: "acct-\0" }, "a NUL character"],
    ["account", { account: "\udc00" }, "half of a surrogate pair"],
  ])("takes no %s with what the database cannot hold (case %$)", (claim, wrong, fault) => {
    const good = { sub: "ann \u{1F600}", account: "acct-1", roles: ["owner"] };
    expect(callerOfClaims(good).principalId).toBe(good.sub);
    expect(failure(() => callerOfClaims({ ...good, ...wrong }))).toMatchObject({
      code: Status.UNAUTHENTICATED,
      reason: "NO_VALID_TOKEN",
      message: `the token's ${claim} has ${fault}`,
    });
  });

  it("takes no instance and no time that the database cannot hold", async () => {
    const issuer = await openTokenIssuer(directory);
    const via = { instanceId: "i-1", hostId: "host-1", generation: 7n };
    const issue = async (wrong: object): Promise<unknown> => {
      const request = { principalId: "ann", accountId: "acct-1", roles: ["member"], ttlSeconds: 60, via: { ...via, ...wrong } } as const;
      return issuer.verify((await issuer.issue(request)).token);
    };
    await expect(issue({})).resolves.toMatchObject({ via });
    await expect(issue({ instanceId: "i-\0" })).rejects.toThrow("the token's via.instance has a NUL character");
    await expect(issue({ hostId: "\udfff" })).rejects.toThrow("the token's via.host has half of a surrogate pair");
    await expect(issue({ generation: 2n ** 63n })).rejects.toThrow("the token's via.generation is more than 9223372036854775807");
    expect(timesOfClaims({ iat: 1, exp: 2 }).expiresAt).toEqual(new Date(2_000));
    for (const wrong of [{ iat: -1 }, { exp: 1e300 }, { iat: Number.NaN }]) {
      expect(failure(() => timesOfClaims({ iat: 1, exp: 2, ...wrong }))).toMatchObject({ code: Status.UNAUTHENTICATED });
    }
  });

  it("refuses an expired token, one without a signature, and one signed by another algorithm or audience", async () => {
    const issuer = await openTokenIssuer(directory);
    const { token } = await issuer.issue({ principalId: "ann", accountId: "acct-1", roles: ["owner"], ttlSeconds: 60 });
    const claims = { account: "", roles: ["operator"] };
    const unsigned = new UnsecuredJWT(claims)
      .setSubject("op")
      .setAudience("plenum")
      .setIssuer("plenum")
      .setIssuedAt()
      .setExpirationTime("1h")
      .encode();
    await expect(issuer.verify(unsigned)).rejects.toThrow();
    const publicBytes = Buffer.from(issuer.jwks().keys[0]!.x!, "base64url");
    const confused = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("op")
      .setAudience("plenum")
      .setIssuer("plenum")
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(publicBytes);
    await expect(issuer.verify(confused)).rejects.toThrow();
    await expect(issuer.verify(token)).resolves.toMatchObject({ principalId: "ann" }); // known from now on, and expires all the same
    vi.useFakeTimers({ now: Date.now() + 66_000, toFake: ["Date"] });
    await expect(issuer.verify(token)).rejects.toThrow(/exp/);
  });
});
