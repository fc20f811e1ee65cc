import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import type { ConnectRequest, Hello } from "#gen/plenum/host/v1/host_feed.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import { storable } from "#lib/db/storable.ts";
import { decodeBookmark } from "#lib/feed/feed.ts";
import { parseId } from "#lib/ids/ids.ts";
import { requireHost } from "#lib/rpc/caller.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { checkJoin, hostRef, issueInstanceToken, joinHost, openSession, readHostRequest, renewKey } from "../../placement/api.ts";
import { HostSession } from "../session.ts";
import type { SessionDependencies } from "../session.ts";

/** What lets a host in: TLS has verified it, and there is no policy to name. */
const OWN_CERTIFICATE = "own-certificate";

const MAX_TEXT = 128;

/** A capacity as the database can hold it; 0 and nothing: not said. */
const bounded = (said: number | undefined): number | null => (said === undefined || said === 0 ? null : Math.min(said, 2_147_483_647));

/** The first message of a stream. */
async function readHello(requests: AsyncIterator<ConnectRequest>): Promise<Hello> {
  const first = await requests.next();
  const message = first.done === true ? undefined : first.value.message;
  if (message?.$case !== "hello") throw invalidArgument("message", "is not hello", "the first message of a session is hello");
  return message.value;
}

/** HostFeedService as in the proto. For the internal listener only. */
export function hostFeedService(
  deps: SessionDependencies & { readonly ca: CertificateAuthority; readonly tokens: TokenIssuer },
): ServiceBinding {
  const { calls, ca } = deps;
  return bind(HostFeedServiceDefinition, {
    async join(request, context) {
      const wanted = checkJoin(request);
      const proof = await readHostRequest(request.csr);
      const { result } = await calls.byHost(context, { action: context.action, rule: "join-token" }, async (call) => {
        const joined = await joinHost(call, wanted, proof);
        call.note("invited_by", joined.invitedBy);
        call.concerns(hostRef(joined.hostId));
        return joined;
      });
      // Signed after the commit: who loses the answer asks again and is signed again.
      const { cert } = await ca.signHost(proof.pem, result.hostId);
      deps.log.info({ host: result.hostId, name: wanted.name, zone: result.zoneId }, "a host joined");
      return { hostId: result.hostId, certificate: cert, caBundle: ca.ca, zoneId: result.zoneId };
    },

    async renewCertificate(request, context) {
      const hostId = requireHost(context.caller, context.action);
      const proof = await readHostRequest(request.csr);
      await calls.byHost(context, { action: context.action, rule: OWN_CERTIFICATE }, async (call) => {
        await renewKey(call.tx, hostId, proof.keyFingerprint);
        call.concerns(hostRef(hostId));
      });
      const { cert } = await ca.signHost(proof.pem, hostId);
      return { certificate: cert, caBundle: ca.ca };
    },

    async issueInstanceToken(request, context) {
      requireHost(context.caller, context.action);
      const { token, expiresAt } = await issueInstanceToken(deps, context, parseId("i", request.instanceId, "instance_id"));
      return { token, expireTime: expiresAt };
    },

    async *connect(requests, context) {
      const hostId = requireHost(context.caller, context.action);
      const iterator = requests[Symbol.asyncIterator]();
      const hello = await readHello(iterator);
      const { result: epoch } = await calls.byHost(context, { action: context.action, rule: OWN_CERTIFICATE }, async (call) => {
        const opened = await openSession(call.tx, hostId, {
          agentVersion: storable(hello.agentVersion, MAX_TEXT),
          kernelRelease: storable(hello.kernelRelease, MAX_TEXT),
          substrateMtu: Math.min(hello.substrateMtu, 65_535),
          substrate: hello.substrate,
          maxInstances: bounded(hello.capacity?.maxInstances),
          maxAttachments: bounded(hello.capacity?.maxAttachments),
        });
        call.concerns(hostRef(hostId));
        return opened;
      });
      const session = new HostSession(deps, hostId, epoch, decodeBookmark(hello.resumeToken));
      const abort = (): void => session.end(context.signal.reason instanceof Error ? context.signal.reason : new Error("the stream ended"));
      context.signal.addEventListener("abort", abort, { once: true });
      if (context.signal.aborted) abort();
      const hearing = session.hear({ [Symbol.asyncIterator]: () => iterator });
      try {
        yield* session.messages();
      } finally {
        context.signal.removeEventListener("abort", abort);
        await session.close();
        hearing.catch(() => undefined); // `hear` puts its failures into the session
      }
    },
  });
}
