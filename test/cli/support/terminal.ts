import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { execute } from "../../../cli/execute.ts";
import { startInstallation } from "../../calls/support/installation.ts";

/** What a command line came to. */
export interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** `plenum` as somebody types it. */
export type Plenum = (...words: string[]) => Promise<Outcome>;

/** Commands in this process against every service over a real PostgreSQL. */
export interface Terminal {
  readonly operator: Plenum;
  /** An account of its own, and its owner's command. */
  customer(
    name: string,
  ): Promise<{ accountId: string; plenum: Plenum; as: (role: "owner" | "member" | "viewer", principalId: string) => Promise<Plenum> }>;
  /** A host that has joined and is not connected; its id. */
  host(name: string, zoneId: string): Promise<string>;
  /** A path of its own, for what commands write. */
  path(name: string): string;
  stop(): Promise<void>;
}

async function typed(words: readonly string[]): Promise<Outcome> {
  let [out, err] = ["", ""];
  const take = (into: (text: string) => void) => (chunk: Uint8Array | string) => {
    into(String(chunk));
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(take((text) => (out += text))),
    vi.spyOn(process.stderr, "write").mockImplementation(take((text) => (err += text))),
  ];
  try {
    return { code: await execute(words), out, err };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

export async function openTerminal(): Promise<Terminal> {
  const at = await startInstallation();
  const dir = mkdtempSync(join(tmpdir(), "plenum-cli-"));
  const caFile = join(dir, "ca.pem");
  writeFileSync(caFile, at.ca);
  let serial = 0;
  const speaker = (token: string): Plenum => {
    serial += 1;
    const tokenFile = join(dir, `token-${serial}`);
    writeFileSync(tokenFile, token);
    const endpoint = at.address.replace("127.0.0.1", "localhost");
    return (...words) => typed(["--endpoint", endpoint, "--ca-file", caFile, "--token-file", tokenFile, ...words]);
  };
  const token = await at.token({ role: "operator" });
  const channel = at.channel({ token });
  return {
    operator: speaker(token),
    async customer(name) {
      const { account } = await channel.client(AccountServiceDefinition).createAccount({ name });
      const { accountId } = account!;
      const as = async (role: "owner" | "member" | "viewer", principalId: string) =>
        speaker(await at.token({ role, accountId, principalId }));
      return { accountId, plenum: await as("owner", "alice"), as };
    },
    async host(name, zoneId) {
      await channel.client(TopologyServiceDefinition).createZone({ zoneId, regionId: "region-1" });
      const join = await channel.client(HostServiceDefinition).createJoinToken({ zoneId, ttl: { seconds: 600n, nanos: 0 } });
      const { csr } = await createHostRequest();
      const feed = at.channel({}).client(HostFeedServiceDefinition);
      const joined = await feed.join({ token: join.token, csr: derOf(csr), name, substrateAddress: "198.18.0.11" });
      return joined.hostId;
    },
    path: (name) => join(dir, name),
    async stop() {
      await at.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
