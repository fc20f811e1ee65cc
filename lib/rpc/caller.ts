import type { Metadata } from "nice-grpc-common";
import { permissionDenied, PlenumError, unauthenticated } from "./errors.ts";
import { PEER_END_HEADER, PEER_URI_HEADER } from "./peer.ts";

/**
 * operator: the whole installation; owner: all of its own account; member: reads in its own account, and does what a list names it for;
 * viewer: reads in its own account.
 */
export type Role = "operator" | "owner" | "member" | "viewer";

/** Who calls, verified. */
export interface Caller {
  readonly kind: "operator" | "account" | "host" | "anonymous";
  /** Who speaks, for the audit. A host's id when `kind` is "host"; empty when "anonymous". */
  readonly principalId: string;
  /** Empty unless `kind` is "account". */
  readonly accountId: string;
  readonly roles: readonly Role[];
  /** When the bearer token begins and ends to count, as it says itself. Absent: the caller showed none. */
  readonly token?: TokenTimes;
  /** The instance that acts as the principal: its host got the token for it. Absent: the token is the principal's own. */
  readonly via?: InstanceSource | undefined;
  /** When the client certificate ends by which a host is known. TLS looks at it as a connection begins, and not again. */
  readonly certificateEnd?: Date;
}

/** An instance that acts as a principal. It counts only while it is just there and just as the token says. */
export interface InstanceSource {
  readonly instanceId: string;
  /** The host that vouches for it. */
  readonly hostId: string;
  /** Of the instance when the token was issued. */
  readonly generation: bigint;
}

/** Clocks of machines differ by a little: for so long after its end a token still counts, seconds. */
export const CLOCK_TOLERANCE_S = 5;

export interface TokenTimes {
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export const ANONYMOUS: Caller = { kind: "anonymous", principalId: "", accountId: "", roles: [] };

/**
 * Verifies a bearer token. Throws when it is not ours, expired or malformed; a {@link PlenumError} goes to the caller as it is. `lib/auth`
 * has the built-in one.
 */
export interface TokenVerifier {
  verify(token: string): Promise<Caller>;
}

const HOST_URI = /^spiffe:\/\/plenum\/host\/(host-[0-9a-f]{32})$/;

/** URI name in a host's certificate. */
export function hostUri(hostId: string): string {
  return `spiffe://plenum/host/${hostId}`;
}

/** The host named by a verified certificate's URI, or undefined. */
export function hostIdOfUri(uri: string): string | undefined {
  return HOST_URI.exec(uri)?.[1];
}

/** The refusal of a token that is worth nothing, or nothing more. */
export const tokenRefused = (): Error => unauthenticated("the token is expired, or this installation did not issue it");

/** The refusal of a call over a connection that outlived the certificate with which it was made. */
export const certificateEnded = (): Error =>
  unauthenticated("the certificate of this connection has ended: connect anew with the one to which it was renewed");

/**
 * Who sent this call: a bearer token where there is one, else the verified client certificate, else nobody.
 * A token that does not verify is refused even where nobody may call: it was meant to count.
 */
export async function authenticate(metadata: Metadata, verifier: TokenVerifier | undefined): Promise<Caller> {
  const header = metadata.get("authorization");
  if (header !== undefined) {
    const token = /^Bearer +([^\s,]+)$/i.exec(header)?.[1];
    if (token === undefined) throw unauthenticated("the authorization header is not one `Bearer <token>`");
    if (verifier === undefined) throw unauthenticated("this address takes client certificates, not tokens");
    try {
      return await verifier.verify(token);
    } catch (error) {
      throw error instanceof PlenumError ? error : tokenRefused();
    }
  }
  const uri = metadata.get(PEER_URI_HEADER);
  const hostId = typeof uri === "string" ? hostIdOfUri(uri) : undefined;
  if (hostId === undefined) return ANONYMOUS;
  const certificateEnd = new Date(Number(metadata.get(PEER_END_HEADER)));
  // Also one that says no time that we can read.
  if (!(certificateEnd.getTime() > Date.now())) throw certificateEnded();
  return { kind: "host", principalId: hostId, accountId: "", roles: [], certificateEnd };
}

/** The calling host's id. Anybody else: PERMISSION_DENIED. */
export function requireHost(caller: Caller, action: string): string {
  if (caller.kind !== "host") throw permissionDenied(action, "only a joined host may call this, with its certificate");
  return caller.principalId;
}

/** Anybody but an operator: PERMISSION_DENIED. */
export function requireOperator(caller: Caller, action: string): void {
  if (caller.kind !== "operator") throw permissionDenied(action, "only an operator may call this");
}
