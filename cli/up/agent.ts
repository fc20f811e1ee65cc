import { existsSync, mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountBpffs } from "#lib/linux/index.ts";
import type { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { INTERNAL_ENDPOINT } from "./layout.ts";
import type { HostPlan, Layout } from "./layout.ts";
import { Supervised } from "./supervised.ts";

const MAIN = fileURLToPath(new URL("../../host-agent/main.ts", import.meta.url));
/** An agent that is told to end only closes files: what it programmed stays. */
const STOP_MS = 5_000;

/** The host's identity, written by the agent when it has joined. */
const joined = (host: HostPlan): boolean => existsSync(join(host.stateDir, "identity.json"));

/** Directories and the BPF file system of a host; and, for one that has not joined yet, a join token. */
export async function prepareHost(host: HostPlan, client: PlenumClient<typeof HostServiceDefinition>): Promise<void> {
  mkdirSync(host.stateDir, { recursive: true, mode: 0o700 });
  mountBpffs(host.bpffs);
  if (joined(host)) return;
  const { token } = await client.createJoinToken({ zoneId: host.zone });
  await writeFile(tokenFile(host), `${token}\n`, { mode: 0o600 });
}

const tokenFile = (host: HostPlan): string => join(host.stateDir, "join.token");

/** The agent of a host, not yet started. */
export function agentOf(host: HostPlan, plan: Layout, tell: (line: string) => void): Supervised {
  return new Supervised({
    name: `agent ${host.name}`,
    namespace: host.namespace,
    script: [MAIN, ...agentArguments(host, plan)],
    logFile: host.logFile,
    tell,
    stopMs: STOP_MS,
  });
}

function agentArguments(host: HostPlan, plan: Layout): string[] {
  return [
    ...["--endpoint", INTERNAL_ENDPOINT],
    ...["--name", host.name],
    ...["--substrate-address", host.address],
    ...["--state-dir", host.stateDir],
    ...["--bpffs", host.bpffs],
    ...["--prefix", host.namespace],
    ...(joined(host) ? [] : ["--join-token-file", tokenFile(host)]),
    ...["--ca-file", plan.caFile],
  ];
}
