import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import { z } from "zod";
import { CLOCK_TOLERANCE_S } from "../rpc/caller.ts";
import type { Caller, Role, TokenVerifier } from "../rpc/caller.ts";
import { nameFault } from "../rpc/name.ts";
import { callerOfClaims, timesOfClaims } from "./token.ts";

/** Signatures by public keys only: a shared secret would let the installation's reader sign, "none" anybody. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const TIMEOUT_MS = 5_000;
/** Keys are read again after this long, and at most this often when a token names one that is not known. */
const KEYS_FOR_MS = 600_000;
const READ_AGAIN_AFTER_MS = 5_000;

const role = z.enum(["operator", "owner", "member", "viewer"]);

/** An issuer of tokens whose word is taken (OpenID Connect). */
export const oidcIssuer = z
  .strictObject({
    /** A short word for it; its principals are `<name>:<subject>`, so that no issuer speaks for another's. */
    name: z.string().regex(/^[a-z0-9-]{1,32}$/),
    /** Exactly the tokens' `iss`; https, or http where the traffic stays on the machine. */
    issuer: z.url({ protocol: /^https?$/ }),
    /** What `aud` must hold. */
    audience: z.string().min(1),
    /** Where its keys are; absent: what `<issuer>/.well-known/openid-configuration` says. */
    jwksUri: z.url({ protocol: /^https?$/ }).optional(),
    /** The one account that its tokens speak for. */
    account: z.string().optional(),
    /** The claim that names the account; not together with `account`. */
    accountClaim: z.string().optional(),
    /** The claim that names the principal. */
    principalClaim: z.string().default("sub"),
    /** The claim that holds the role, or a list of words among which are roles. Absent: everybody has `role`. */
    roleClaim: z.string().optional(),
    /** What the words in `roleClaim` mean; absent: a word is the role of that name. */
    roles: z.record(z.string(), role).optional(),
    /** Role without `roleClaim`. */
    role: role.default("viewer"),
    /** Whether its tokens may make operators. */
    operators: z.boolean().default(false),
  })
  .refine((one) => one.account === undefined || one.accountClaim === undefined, "give account or accountClaim, not both")
  .refine((one) => one.operators || one.account !== undefined || one.accountClaim !== undefined, "give account or accountClaim");

export type OidcIssuer = z.output<typeof oidcIssuer>;

const words = z.union([z.string().transform((word) => [word]), z.array(z.string())]).default([]);

/** Roles in a token. Words that mean none are passed over: an issuer knows more groups than we do. */
function rolesOf(payload: JWTPayload, issuer: OidcIssuer): Role[] {
  if (issuer.roleClaim === undefined) return [issuer.role];
  const meaning = new Map<string, Role>(
    Object.entries(issuer.roles ?? { operator: "operator", owner: "owner", member: "member", viewer: "viewer" }),
  );
  return words.parse(payload[issuer.roleClaim]).flatMap((word) => meaning.get(word) ?? []);
}

/** Claims → caller, by the issuer's mapping. Throws for a token that makes nobody, or more than its issuer may. */
export function callerOfOidc(payload: JWTPayload, issuer: OidcIssuer): Caller {
  const subject = z.string().min(1).max(90).parse(payload[issuer.principalClaim]);
  // Who looks like another one is told apart by nobody who reads the audit.
  const fault = nameFault(subject);
  if (fault !== undefined) throw new Error(`${issuer.name}'s ${issuer.principalClaim} ${fault.fact}`);
  const roles = rolesOf(payload, issuer);
  const operator = roles.includes("operator");
  if (operator && !issuer.operators) throw new Error(`${issuer.name} makes no operators`);
  const account = operator ? "" : (issuer.account ?? z.string().parse(payload[issuer.accountClaim ?? ""]));
  return callerOfClaims({ sub: `${issuer.name}:${subject}`, account, roles: operator ? ["operator"] : roles });
}

const configuration = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) });

export interface OidcOptions {
  /** For reading keys; default the platform's. */
  readonly fetch?: typeof fetch;
}

/** What the issuer says about itself. It must be about itself: a copied document does not make another its keys' owner. */
async function discover(issuer: OidcIssuer, fetcher: typeof fetch): Promise<string> {
  const url = `${issuer.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await fetcher(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error" });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const found = configuration.parse(await response.json());
  if (found.issuer !== issuer.issuer) throw new Error(`${url} speaks of ${found.issuer}`);
  return found.jwks_uri;
}

/** Verifies an issuer's tokens. Its keys are read at the first token, kept, and read again when a token names one that is not known. */
export function createOidcVerifier(issuer: OidcIssuer, options: OidcOptions = {}): TokenVerifier {
  const fetcher = options.fetch ?? fetch;
  let keys: Promise<JWTVerifyGetKey> | undefined;
  const open = async (): Promise<JWTVerifyGetKey> => {
    const url = new URL(issuer.jwksUri ?? (await discover(issuer, fetcher)));
    return createRemoteJWKSet(url, {
      timeoutDuration: TIMEOUT_MS,
      cacheMaxAge: KEYS_FOR_MS,
      cooldownDuration: READ_AGAIN_AFTER_MS,
      [customFetch]: fetcher,
    });
  };
  return {
    async verify(token) {
      keys ??= open();
      let getKey: JWTVerifyGetKey;
      try {
        getKey = await keys;
      } catch (error) {
        keys = undefined; // an issuer that was away is asked again by the next token
        throw error;
      }
      const { payload } = await jwtVerify(token, getKey, {
        algorithms: ALGORITHMS,
        issuer: issuer.issuer,
        audience: issuer.audience,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ["exp", "iat"],
      });
      const times = timesOfClaims(payload);
      // A revocation goes by this time: one from the future would outlive it.
      if (times.issuedAt.getTime() > Date.now() + CLOCK_TOLERANCE_S * 1_000) throw new Error(`${issuer.name}'s token is from the future`);
      return { ...callerOfOidc(payload, issuer), token: times };
    },
  };
}
