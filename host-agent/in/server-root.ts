import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { SERVER_NAME } from "#lib/auth/ca.ts";
import { socketPlace } from "#lib/net/socket-place.ts";

const TIMEOUT_MS = 10_000;

/**
 * PEM of the root whose hash a join token carries, from the chain that the server shows (C8). Nothing of the chain is trusted here, and
 * nothing is said to the server: the hash is the proof that this is the root, and the connection that follows must prove to chain to it.
 *
 * @param address "host:port" or "unix:/path"
 * @param fingerprint SHA-256 of the root's DER, lower-case hexadecimal
 * @throws Error if the server shows no such certificate; with a system error's code (ETIMEDOUT, ECONNREFUSED …) if it does not answer
 */
export async function fetchRoot(address: string, fingerprint: string, timeoutMs = TIMEOUT_MS): Promise<string> {
  const chain = await fetchChain(address, timeoutMs);
  const root = chain.find((certificate) => hashOf(certificate) === fingerprint);
  if (root === undefined) {
    throw new Error(
      `${address} is not the installation that issued the join token: none of the certificates it shows has the hash ${fingerprint}`,
    );
  }
  if (!root.ca) throw new Error(`the certificate that the join token names at ${address} is no certificate authority`);
  return root.toString();
}

function hashOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

async function fetchChain(address: string, timeoutMs: number): Promise<X509Certificate[]> {
  const socket = open(address);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      const late = `${address} did not answer within ${timeoutMs / 1_000} seconds`;
      socket.setTimeout(timeoutMs, () => reject(Object.assign(new Error(late), { code: "ETIMEDOUT" })));
    });
    const chain: X509Certificate[] = [];
    let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
    for (const seen = new Set<string>(); next?.raw !== undefined && !seen.has(next.fingerprint256); next = next.issuerCertificate) {
      seen.add(next.fingerprint256);
      chain.push(new X509Certificate(next.raw));
    }
    return chain;
  } finally {
    socket.destroy();
  }
}

function open(address: string): TLSSocket {
  const common = { rejectUnauthorized: false, servername: SERVER_NAME, ALPNProtocols: ["h2"] };
  return connect({ ...socketPlace(address), ...common });
}
