import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { calculateJwkThumbprint, exportJWK, importPKCS8, importSPKI, jwtVerify, SignJWT } from "jose";
import type { JWK, JWTPayload } from "jose";
import { z } from "zod";
import { writeFileOnce } from "../process/files.ts";
import { CLOCK_TOLERANCE_S } from "../rpc/caller.ts";
import type { Caller, InstanceSource, Role, TokenTimes, TokenVerifier } from "../rpc/caller.ts";
import { unauthenticated } from "../rpc/errors.ts";

const ALGORITHM = "EdDSA";
const AUDIENCE = "plenum";
/** Of tokens for instances: whoever does not know what those stand for (a server of before) takes none. */
const INSTANCE_AUDIENCE = "plenum-instance";
const ISSUER = "plenum";
/** Forgotten all at once when full: a bound, not a policy. */
const REMEMBERED_TOKENS = 10_000;

export interface TokenRequest {
  /** Who speaks, for the audit. */
  readonly principalId: string;
  /** Empty for an operator only. */
  readonly accountId: string;
  readonly roles: readonly Role[];
  /** Seconds, 60 to 90 days; default one day. */
  readonly ttlSeconds?: number;
  /** Default now. Whoever may revoke tokens gives the moment of the clock that revocations go by, to the millisecond. */
  readonly issuedAt?: Date;
  /** The instance that is to act as the principal. Not for operators. */
  readonly via?: InstanceSource;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** The built-in issuer: signs tokens and verifies its own. */
export interface TokenIssuer extends TokenVerifier {
  issue(request: TokenRequest): Promise<IssuedToken>;
  /** Public keys for whoever verifies elsewhere (RFC 7517). */
  jwks(): { keys: JWK[] };
}

const DAY_S = 86_400;

/** More than any name that is given here; what goes into the audit and its indexes has an end. */
const MAX_NAME = 256;
const MAX_GENERATION = 2n ** 63n - 1n;
/** From the year 9999 on PostgreSQL and this platform write dates each in its own way. */
const MAX_TIME_S = 253_402_300_799;

const claims = z.object({
  sub: z.string().min(1),
  account: z.string().default(""),
  roles: z.array(z.enum(["operator", "owner", "member", "viewer"])).min(1),
});

/** Our own claim, which no other issuer's token can carry: only what is named here is taken from those. */
const viaClaim = z
  .object({ instance: z.string().min(1), host: z.string().min(1), generation: z.string().regex(/^\d{1,19}$/) })
  .transform(({ instance, host, generation }): InstanceSource => ({ instanceId: instance, hostId: host, generation: BigInt(generation) }));

/** The instance that a token of ours is for; undefined: none. Throws for one of an operator: no instance is one. */
function viaOf(payload: JWTPayload, caller: Caller): InstanceSource | undefined {
  if (payload.aud === AUDIENCE) return undefined;
  if (caller.kind === "operator") throw new Error("no instance is an operator");
  const via = viaClaim.parse(payload["via"]);
  checkStorable({ "via.instance": via.instanceId, "via.host": via.hostId });
  if (via.generation > MAX_GENERATION) throw unauthenticated(`the token's via.generation is more than ${MAX_GENERATION}`);
  return via;
}

/** UNAUTHENTICATED for what the database cannot hold: an issuer signs any text, and each call of its bearer would end as a fault of ours. */
function checkStorable(names: Readonly<Record<string, string>>): void {
  for (const [claim, value] of Object.entries(names)) {
    if (value.length > MAX_NAME) throw unauthenticated(`the token's ${claim} has more than ${MAX_NAME} characters`);
    if (value.includes("\0")) throw unauthenticated(`the token's ${claim} has a NUL character`);
    if (!value.isWellFormed()) throw unauthenticated(`the token's ${claim} has half of a surrogate pair`);
  }
}

/**
 * Claims → caller. An operator's token names no account, anybody else's names one: a token that mixes them is refused. UNAUTHENTICATED for a
 * name that cannot be stored.
 */
export function callerOfClaims(payload: unknown): Caller {
  const { sub, account, roles } = claims.parse(payload);
  checkStorable({ sub, account });
  const operator = roles.includes("operator");
  if (operator !== (account === "")) throw new Error("a token is an operator's or an account's");
  return { kind: operator ? "operator" : "account", principalId: sub, accountId: account, roles };
}

/** When a verified token counts. `iat` may have a fraction (RFC 7519), ours has milliseconds. */
export function timesOfClaims({ iat, exp }: JWTPayload): TokenTimes {
  if (iat === undefined || exp === undefined) throw new Error("a token says when it was issued and when it ends");
  for (const [claim, time] of Object.entries({ iat, exp })) {
    if (!(time >= 0 && time <= MAX_TIME_S)) throw unauthenticated(`the token's ${claim} is no time of the years 1970 to 9999`);
  }
  return { issuedAt: new Date(iat * 1_000), expiresAt: new Date(exp * 1_000) };
}

interface StoredKeys {
  readonly privateKey: string;
  readonly publicKey: string;
}

async function loadOrCreateKeys(directory: string): Promise<StoredKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "token-key.json");
  const pair = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  await writeFileOnce(file, JSON.stringify(pair), 0o600);
  return JSON.parse(await readFile(file, "utf8")) as StoredKeys;
}

/** Open the issuer whose key lies in `directory`, made at the first use. */
export async function openTokenIssuer(directory: string): Promise<TokenIssuer> {
  const stored = await loadOrCreateKeys(directory);
  const privateKey = await importPKCS8(stored.privateKey, ALGORITHM);
  const publicKey = await importSPKI(stored.publicKey, ALGORITHM, { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  // A signature costs 0.2 ms, a quarter of a call; a signature that held once holds until the token ends.
  // Whether it was revoked is asked where its principal is looked up, each time.
  const verified = new Map<string, { caller: Caller; until: number }>();
  return {
    async issue(request) {
      const ttl = request.ttlSeconds ?? DAY_S;
      if (!Number.isInteger(ttl) || ttl < 60 || ttl > 90 * DAY_S) throw new RangeError("a token lives 1 minute to 90 days");
      const { kind } = callerOfClaims({ sub: request.principalId, account: request.accountId, roles: request.roles });
      if (kind === "operator" && request.via !== undefined) throw new Error("no instance is an operator");
      const via = request.via && {
        instance: request.via.instanceId,
        host: request.via.hostId,
        generation: String(request.via.generation),
      };
      const issuedAt = (request.issuedAt?.getTime() ?? Date.now()) / 1_000;
      const expiresAt = Math.floor(issuedAt) + ttl;
      const token = await new SignJWT({ account: request.accountId, roles: [...request.roles], ...(via === undefined ? {} : { via }) })
        .setProtectedHeader({ alg: ALGORITHM, kid, typ: "JWT" })
        .setIssuer(ISSUER)
        .setAudience(via === undefined ? AUDIENCE : INSTANCE_AUDIENCE)
        .setSubject(request.principalId)
        .setIssuedAt(issuedAt)
        .setJti(randomUUID())
        .setExpirationTime(expiresAt)
        .sign(privateKey);
      return { token, expiresAt: new Date(expiresAt * 1_000) };
    },
    async verify(token) {
      const known = verified.get(token);
      if (known !== undefined && Date.now() < known.until) return known.caller;
      const { payload } = await jwtVerify(token, publicKey, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: [AUDIENCE, INSTANCE_AUDIENCE],
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ["sub", "exp", "iat"],
      });
      const who = callerOfClaims(payload);
      const caller = { ...who, token: timesOfClaims(payload), via: viaOf(payload, who) };
      if (verified.size >= REMEMBERED_TOKENS) verified.clear();
      verified.set(token, { caller, until: (payload.exp ?? 0) * 1_000 });
      return caller;
    },
    jwks: () => ({ keys: [{ ...jwk, kid, alg: ALGORITHM, use: "sig" }] }),
  };
}
