import { randomBytes } from "node:crypto";

/** What a host needs to join (C8): a secret that works once, and the root that the server must prove. */
export interface JoinToken {
  /** SHA-256 of the root certificate's DER, lower-case hexadecimal (`CertificateAuthority.fingerprint`). */
  readonly caFingerprint: string;
  /** Unguessable; 43 characters of base64url. */
  readonly secret: string;
}

const FORM = /^plenum-join\.([0-9a-f]{64})\.([A-Za-z0-9_-]{43})$/;

/** A token with a fresh secret of 256 bits. */
export function newJoinToken(caFingerprint: string): string {
  return `plenum-join.${caFingerprint}.${randomBytes(32).toString("base64url")}`;
}

/** Undefined for what is none. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, caFingerprint, secret] = FORM.exec(text) ?? [];
  return caFingerprint === undefined || secret === undefined ? undefined : { caFingerprint, secret };
}
