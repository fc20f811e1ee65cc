import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { mountBpffs } from "#lib/linux/index.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { IdentityStore, validity } from "../../host-agent/in/identity.ts";
import { INTERNAL_ENDPOINT } from "./layout.ts";
import type { HostPlan, Layout } from "./layout.ts";
import { Supervised } from "./supervised.ts";

/** The agent of this version. */
export const AGENT_MAIN = fileURLToPath(new URL("../../host-agent/main.ts", import.meta.url));
/** An agent that is told to end only closes files: what it programmed stays. */
const STOP_MS = 10_000;
const HOUR_MS = 3_600_000;
/** In the host's own namespace. */
const METRICS_ADDRESS = "127.0.0.1:9402";

const tokenFile = (host: HostPlan): string => join(host.stateDir, "join.token");

/** Directories and the BPF file system of a host; and a join token for one that has not joined yet. Answers whether it had joined. */
export async function prepareHost(host: HostPlan, plan: Layout, client: PlenumClient<typeof HostServiceDefinition>): Promise<boolean> {
  mkdirSync(host.stateDir, { recursive: true, mode: 0o700 });
  mountBpffs(host.bpffs);
  const store = new IdentityStore(host.stateDir);
  const identity = await store.load();
  if (identity === undefined) {
    const { token } = await client.createJoinToken({ zoneId: host.zone });
    await writeFile(tokenFile(host), `${token}\n`, { mode: 0o600 });
  } else if (validity(identity.certificate).to < Date.now() + HOUR_MS) {
    // Down for longer than a certificate lives, it cannot renew. We hold the authority: sign a new one for its key, without a token.
    const request = await store.joinKey();
    const authority = await openCertificateAuthority(plan.secretsDir);
    const { cert } = await authority.signHost(request.csr, identity.hostId);
    await store.save({ ...identity, certificate: cert, key: request.key, caBundle: authority.ca });
  }
  return identity !== undefined;
}

/** The agent of a host, not yet started. `main`: its entry, asked at each start. */
export function agentOf(host: HostPlan, plan: Layout, main: () => string, tell: (line: string) => void): Supervised {
  return new Supervised({
    name: `agent ${host.name}`,
    namespace: host.namespace,
    script: () => [main(), ...agentArguments(host, plan)],
    logFile: host.logFile,
    tell,
    saysReady: false,
    stopMs: STOP_MS,
  });
}

function agentArguments(host: HostPlan, plan: Layout): string[] {
  return [
    ...["--state-dir", host.stateDir],
    ...["--bpffs-dir", host.bpffs],
    ...["--internal-endpoint", INTERNAL_ENDPOINT],
    // A socket crosses namespaces: nothing more listens on the substrate.
    ...["--api-endpoint", `unix:${plan.apiSocket}`],
    ...["--substrate-address", host.address],
    ...["--join-token-file", tokenFile(host)],
    ...["--name", host.name],
    ...["--namespace-prefix", host.namespace],
    ...["--metrics-address", METRICS_ADDRESS],
  ];
}
