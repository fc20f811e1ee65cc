import { ServerInterceptingCall, ServerListenerBuilder } from "@grpc/grpc-js";
import type { ServerInterceptor } from "@grpc/grpc-js";
import type { PeerCertificate } from "node:tls";

/** Set by us only: whatever a client sends under this name is dropped before any handler sees it. */
export const PEER_URI_HEADER = "x-plenum-verified-peer-uri";
/** The same: when that certificate ends, milliseconds since 1970. */
export const PEER_END_HEADER = "x-plenum-verified-peer-end";

/** The single URI name of a certificate that TLS has verified. More than one, or a quoted one: none (never guess an identity). */
export function uriOfCertificate(certificate: PeerCertificate | undefined): string | undefined {
  const names = certificate?.subjectaltname?.split(", ") ?? [];
  const uris = names.filter((name) => name.startsWith("URI:")).map((name) => name.slice("URI:".length));
  return uris.length === 1 ? uris[0] : undefined;
}

/**
 * Carries the TLS peer's URI name, and when its certificate ends, to the handlers. nice-grpc's context has no peer certificate, so a grpc-js interceptor puts it
 * into a header of ours. grpc-js gives a certificate only for a socket that TLS authorised.
 */
export const peerIdentityInterceptor: ServerInterceptor = (_method, call) => {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const uri = uriOfCertificate(certificate);
  const end = Date.parse(certificate?.valid_to ?? "");
  return new ServerInterceptingCall(call, {
    start: (next) =>
      next(
        new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, nextMetadata) => {
            metadata.remove(PEER_URI_HEADER);
            metadata.remove(PEER_END_HEADER);
            if (uri !== undefined) {
              metadata.set(PEER_URI_HEADER, uri);
              metadata.set(PEER_END_HEADER, String(end));
            }
            nextMetadata(metadata);
          })
          .build(),
      ),
  });
};

/** A peer without its port, of which a client's every connection has another; a socket's path as it is. */
export function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "");
}
