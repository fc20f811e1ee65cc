import "reflect-metadata";
import { createPublicKey, randomBytes, webcrypto, X509Certificate as NodeCertificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { writeFileOnce } from "../process/files.ts";
import { hostUri } from "../rpc/caller.ts";

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;

x509.cryptoProvider.set(webcrypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;
const CA_YEARS_MS = 10 * 365 * 24 * HOUR_MS;
/** Hosts renew at half of it (C8). */
export const HOST_CERTIFICATE_MS = 24 * HOUR_MS;
const SERVER_CERTIFICATE_MS = 90 * 24 * HOUR_MS;
/** In every server's certificate: the name to verify where a server is reached by an address or a socket. */
export const SERVER_NAME = "plenum";
/** Clocks of hosts differ: a fresh certificate is valid a little before it was made. */
const SKEW_MS = 5 * 60_000;

/** PEM texts of a certificate and its private key. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface SignedCertificate {
  readonly cert: string;
  readonly notAfter: Date;
  /** Lower-case hexadecimal, for deny lists. */
  readonly serial: string;
}

/** The built-in certificate authority. */
export interface CertificateAuthority {
  /** PEM of the root: what clients and servers verify against. */
  readonly ca: string;
  /** SHA-256 of the root's DER, lower-case hexadecimal: what a join token carries (C8). */
  readonly fingerprint: string;
  /** A new key and certificate for a server with these DNS names and IP addresses, and {@link SERVER_NAME}. Valid 90 days. `cert` is the chain, root included. */
  issueServer(names: readonly string[]): Promise<KeyedCertificate>;
  /** Sign a host's PKCS #10 request (PEM). The name is ours: whatever the request asks for is ignored. Valid 24 hours. Throws on a bad request. */
  signHost(csr: string, hostId: string): Promise<SignedCertificate>;
  /** A new key and certificate with one URI name, for control modules and tests. */
  issueUri(uri: string, validMs: number): Promise<KeyedCertificate>;
}

const pemOfKey = async (key: CryptoKey): Promise<string> =>
  x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");

async function loadKey(pem: string): Promise<CryptoKey> {
  const [der] = x509.PemConverter.decode(pem);
  if (der === undefined) throw new Error("not a PEM private key");
  return webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
}

async function keysOf(pem: string): Promise<CryptoKeyPair> {
  const der = createPublicKey(pem).export({ format: "der", type: "spki" });
  const publicKey = await webcrypto.subtle.importKey("spki", der, ALGORITHM, true, ["verify"]);
  return { privateKey: await loadKey(pem), publicKey };
}

const newKeys = (): Promise<CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;

const newSerial = (): string => {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f; // a positive number
  return bytes.toString("hex");
};

/**
 * Hosts make their request with this; the key never leaves the host.
 * @param key PEM (PKCS #8, ECDSA P-256) of one that the host has; without, a new one is made
 */
export async function createHostRequest(key?: string): Promise<{ csr: string; key: string }> {
  const keys = key === undefined ? await newKeys() : await keysOf(key);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=plenum-host", keys, signingAlgorithm: ALGORITHM });
  return { csr: request.toString("pem"), key: key ?? (await pemOfKey(keys.privateKey)) };
}

/** SHA-256 over a PEM certificate's DER, lower-case hexadecimal. */
export function certificateFingerprint(pem: string): string {
  return new NodeCertificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

async function createRoot(): Promise<KeyedCertificate> {
  const keys = await newKeys();
  const now = Date.now();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=Plenum CA ${randomBytes(4).toString("hex")}`,
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + CA_YEARS_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: cert.toString("pem"), key: await pemOfKey(keys.privateKey) };
}

/** The root in one file, so that a crash cannot leave a key without its certificate. */
async function loadOrCreateRoot(directory: string): Promise<KeyedCertificate> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "ca.json");
  const root = await createRoot();
  await writeFileOnce(file, JSON.stringify(root), 0o600); // keeps what is there: of two processes one wins, both read it
  return JSON.parse(await readFile(file, "utf8")) as KeyedCertificate;
}

/** Open the authority in `directory`, made at the first use. Its key file is readable by its owner only. */
export async function openCertificateAuthority(directory: string): Promise<CertificateAuthority> {
  const root = await loadOrCreateRoot(directory);
  const rootCert = new x509.X509Certificate(root.cert);
  const signingKey = await loadKey(root.key);

  async function issue(
    subject: string,
    publicKey: x509.PublicKeyType,
    names: x509.JsonGeneralNames,
    validMs: number,
    usages: string[],
  ): Promise<SignedCertificate> {
    const now = Date.now();
    const serial = newSerial();
    const notAfter = new Date(Math.min(now + validMs, rootCert.notAfter.getTime()));
    const cert = await x509.X509CertificateGenerator.create({
      serialNumber: serial,
      subject,
      issuer: rootCert.subject,
      notBefore: new Date(now - SKEW_MS),
      notAfter,
      signingAlgorithm: ALGORITHM,
      publicKey,
      signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.AuthorityKeyIdentifierExtension.create(rootCert.publicKey),
      ],
    });
    return { cert: cert.toString("pem"), notAfter, serial };
  }

  async function issueWithKey(subject: string, names: x509.JsonGeneralNames, validMs: number, usages: string[]): Promise<KeyedCertificate> {
    const keys = await newKeys();
    const { cert } = await issue(subject, keys.publicKey, names, validMs, usages);
    return { cert, key: await pemOfKey(keys.privateKey) };
  }

  return {
    ca: root.cert,
    fingerprint: certificateFingerprint(root.cert),
    async issueServer(names) {
      const all = [...new Set([SERVER_NAME, ...names])];
      const general = all.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value }));
      const { cert, key } = await issueWithKey("CN=plenum", general, SERVER_CERTIFICATE_MS, [x509.ExtendedKeyUsage.serverAuth]);
      // A host that joins knows the root's hash only, and finds the root in what the server shows (C8).
      return { cert: `${cert}\n${root.cert}`, key };
    },
    async signHost(csr, hostId) {
      const request = new x509.Pkcs10CertificateRequest(csr);
      if (!(await request.verify())) throw new Error("the certificate request is not signed by its own key");
      const key = await request.publicKey.export();
      const algorithm = key.algorithm as { name: string; namedCurve?: string };
      if (algorithm.name !== "ECDSA" || algorithm.namedCurve !== "P-256")
        throw new Error("the certificate request's key is not ECDSA P-256");
      return issue(`CN=${hostId}`, key, [{ type: "url", value: hostUri(hostId) }], HOST_CERTIFICATE_MS, [x509.ExtendedKeyUsage.clientAuth]);
    },
    issueUri: (uri, validMs) => issueWithKey("CN=plenum", [{ type: "url", value: uri }], validMs, [x509.ExtendedKeyUsage.clientAuth]),
  };
}
