import { setTimeout as delay } from "node:timers/promises";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { parseJoinToken } from "#lib/auth/join-token.ts";
import { derOf } from "#lib/auth/pem.ts";
import type { Logger } from "#lib/log/log.ts";
import { createChannelAndClient } from "#lib/rpc/client.ts";
import { callFailure, isTransient } from "#lib/rpc/client-error.ts";
import type { HostIdentity, IdentityStore } from "./identity.ts";
import { fetchRoot } from "./server-root.ts";

const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;

export interface JoinOptions {
  /** Internal listener of the control plane. */
  endpoint: string;
  /** As issued by HostService.CreateJoinToken. */
  token: string;
  name: string;
  substrateAddress: string;
  store: IdentityStore;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Makes this machine a host and stores who it is (C8). A control plane that does not answer is asked again until `signal`; one that
 * refuses is not.
 *
 * @throws Error for a text that is no token or a server that is not the token's; the call's error when the coordinator refuses
 */
export async function join(options: JoinOptions): Promise<HostIdentity> {
  const token = parseJoinToken(options.token.trim());
  if (token === undefined) throw new Error("the join token is not one: give what `plenum host token` printed, whole");
  const { csr, key } = await options.store.joinKey();
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, MAX_WAIT_MS)) {
    try {
      return await once(options, token.caFingerprint, csr, key);
    } catch (error) {
      if (!isTransient(error) && !isUnreachable(error)) throw error;
      options.log.warn({ wait }, `join: ${callFailure(error)?.message ?? (error as Error).message}; trying again`);
    }
    await delay(wait * (0.5 + Math.random() / 2), undefined, { signal: options.signal });
  }
}

async function once({ endpoint, token, name, substrateAddress, store, log }: JoinOptions, fingerprint: string, csr: string, key: string) {
  const ca = await fetchRoot(endpoint, fingerprint);
  const { client, close } = createChannelAndClient(HostFeedServiceDefinition, { address: endpoint, ca });
  try {
    const answer = await client.join({ token: token.trim(), csr: derOf(csr), name, substrateAddress });
    const identity: HostIdentity = {
      hostId: answer.hostId,
      zoneId: answer.zoneId,
      certificate: answer.certificate,
      key,
      caBundle: answer.caBundle === "" ? ca : answer.caBundle,
    };
    await store.save(identity);
    log.info({ host: identity.hostId, zone: identity.zoneId }, "joined");
    return identity;
  } finally {
    close();
  }
}

const UNREACHABLE = new Set(["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "ENOENT", "EPIPE", "EAI_AGAIN"]);

/** The server may only not be there yet: hosts and control plane start in any order. */
function isUnreachable(error: unknown): boolean {
  return error instanceof Error && UNREACHABLE.has((error as NodeJS.ErrnoException).code ?? "");
}
