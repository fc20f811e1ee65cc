import "reflect-metadata";
import { createHash } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { invalidArgument } from "#lib/rpc/errors.ts";

/** A host's request, proven to come from who holds its key. */
export interface HostRequest {
  readonly pem: string;
  /** SHA-256 of the public key (DER), lower-case hexadecimal: the same for every request of one key. */
  readonly keyFingerprint: string;
}

const MAX_BYTES = 8_192;

/** Read a PKCS #10 request (DER). INVALID_ARGUMENT unless it is one, of an ECDSA P-256 key, signed by it. */
export async function readHostRequest(der: Uint8Array): Promise<HostRequest> {
  const refuse = (fact: string) => invalidArgument("csr", fact, "send a PKCS #10 request (DER) of an ECDSA P-256 key, signed by it");
  if (der.length === 0) throw refuse("is missing");
  if (der.length > MAX_BYTES) throw refuse(`has ${der.length} bytes`);
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(Uint8Array.from(der));
  } catch {
    throw refuse("is not a certificate request");
  }
  const algorithm = request.publicKey.algorithm as { name?: string; namedCurve?: string };
  if (algorithm.name !== "ECDSA" || algorithm.namedCurve !== "P-256") throw refuse("has a key of another kind");
  if (!(await request.verify().catch(() => false))) throw refuse("is not signed by its own key");
  return {
    pem: request.toString("pem"),
    keyFingerprint: createHash("sha256").update(new Uint8Array(request.publicKey.rawData)).digest("hex"),
  };
}
