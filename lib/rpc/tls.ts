import { ServerCredentials } from "@grpc/grpc-js";

/** PEM texts. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** Roots that client certificates must chain to. Needed with `requestClientCert`. */
  readonly ca?: string;
  /** Ask for a client certificate, and let a client without one in as nobody: a host that joins has none yet. */
  readonly requestClientCert?: boolean;
}

/** grpc-js can demand a client certificate or not ask; a listener where hosts both join and connect needs the third: ask. */
class AskingCredentials extends ServerCredentials {
  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  rotate(tls: ServerTls): void {
    this.updateSecureContextOptions(contextOf(tls));
  }
}

const contextOf = (tls: ServerTls): { cert: string; key: string; ca?: string } => ({
  cert: tls.cert,
  key: tls.key,
  ...(tls.ca === undefined ? {} : { ca: tls.ca }),
});

export interface RotatableCredentials {
  readonly credentials: ServerCredentials;
  /** New connections get the new certificate; open ones stay. Same `requestClientCert` as before. */
  rotate(tls: ServerTls): void;
}

/**
 * A client certificate that does not verify leaves its socket unauthorised: such a peer is nobody, never a name.
 */
export function serverCredentials(tls: ServerTls): RotatableCredentials {
  if (tls.requestClientCert === true && tls.ca === undefined) throw new Error("requestClientCert needs a ca to verify against");
  const credentials = new AskingCredentials(
    { requestCert: tls.requestClientCert === true, rejectUnauthorized: false, minVersion: "TLSv1.2" },
    contextOf(tls),
  );
  return { credentials, rotate: (next) => credentials.rotate(next) };
}
