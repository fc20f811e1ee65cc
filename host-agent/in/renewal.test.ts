import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { newId } from "#lib/ids/ids.ts";
import { silentLog } from "#lib/log/log.ts";
import { IdentityStore } from "./identity.ts";
import { keepRenewed } from "./renewal.ts";

const DAY_MS = 86_400_000;
const log = silentLog();
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "plenum-renewal-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(directory, { recursive: true });
});

/** An agent with a certificate of this life; `calls` counts what it asks for. */
async function renewing(lifeMs: number): Promise<{ calls: () => number; end: () => Promise<void> }> {
  const ca = await openCertificateAuthority(join(directory, "ca"));
  const hostId = newId("host");
  const issued = await ca.issueUri(`spiffe://plenum/host/${hostId}`, lifeMs);
  const identity = { hostId, zoneId: "", certificate: issued.cert, key: issued.key, caBundle: ca.ca };
  const stop = new AbortController();
  const renewCertificate = vi.fn(() => Promise.reject(new Error("not now")));
  const running = keepRenewed({
    ...{ endpoint: "", store: new IdentityStore(directory), log, signal: stop.signal, current: () => identity, renewed: () => {} },
    client: { renewCertificate } as never,
  });
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  return { calls: () => renewCertificate.mock.calls.length, end };
}

it("waits for the half-life of a certificate that lives longer than a timer can run", async () => {
  const { calls, end } = await renewing(100 * DAY_MS);
  await delay(300);
  await end();
  expect(calls()).toBe(0);
});
