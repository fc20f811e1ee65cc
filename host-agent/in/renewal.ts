import { setTimeout as delay } from "node:timers/promises";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostFeedServiceClient } from "#gen/plenum/host/v1/host_feed.ts";
import { derOf } from "#lib/auth/pem.ts";
import type { Logger } from "#lib/log/log.ts";
import { spreadBackoffMs } from "#lib/retry/backoff.ts";
import { createChannelAndClient } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { validity } from "./identity.ts";
import type { HostIdentity, IdentityStore } from "./identity.ts";

const BACKOFF = { firstMs: 1_000, maxMs: 600_000 };
/** A timer runs for 24 days at most, and a clock may be set meanwhile. */
const LOOK_MS = 3_600_000;

export interface RenewalOptions {
  endpoint: string;
  store: IdentityStore;
  log: Logger;
  signal: AbortSignal;
  /** The identity of now. */
  current(): HostIdentity;
  /** A new one is stored; new connections are to use it. */
  renewed(identity: HostIdentity): void;
  /** For tests: instead of a call to the endpoint. */
  client?: Pick<HostFeedServiceClient, "renewCertificate">;
}

/** When a certificate is renewed: after half of its life (C8). Milliseconds since 1970. */
export function renewalTime(certificate: string): number {
  const { from, to } = validity(certificate);
  return from + (to - from) / 2;
}

/** Renews at half-life, for ever; a failure is tried again until it works, later and later. */
export async function keepRenewed(options: RenewalOptions): Promise<void> {
  const { signal, log } = options;
  for (let failures = 0; !signal.aborted;) {
    const due = Math.max(0, renewalTime(options.current().certificate) - Date.now());
    // Spread: all hosts fail at once when the coordinator is away.
    const wait = failures === 0 ? Math.min(due, LOOK_MS) : spreadBackoffMs(BACKOFF, failures);
    if (!(await slept(wait, signal))) return;
    if (due > LOOK_MS) continue;
    try {
      options.renewed(await renew(options));
      failures = 0;
      log.info("certificate renewed");
    } catch (error) {
      failures += 1;
      const until = new Date(validity(options.current().certificate).to).toISOString();
      log.warn({ failures, until }, `the certificate could not be renewed: ${callFailure(error)?.message ?? (error as Error).message}`);
    }
  }
}

async function renew({ endpoint, store, current, client }: RenewalOptions): Promise<HostIdentity> {
  const old = current();
  const { csr, key } = await store.renewalKey(old);
  const settings = { address: endpoint, ca: old.caBundle, cert: old.certificate, key: old.key };
  const own = client === undefined ? createChannelAndClient(HostFeedServiceDefinition, settings) : { client, close: () => {} };
  try {
    const answer = await own.client.renewCertificate({ csr: derOf(csr) });
    const identity = { ...old, certificate: answer.certificate, key, caBundle: answer.caBundle === "" ? old.caBundle : answer.caBundle };
    await store.save(identity);
    return identity;
  } finally {
    own.close();
  }
}

/** False: aborted. */
async function slept(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(milliseconds, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
