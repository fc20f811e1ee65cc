import { rm } from "node:fs/promises";
import { startRefusalLog } from "#lib/audit/refusal-log.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { startTestPostgres, testDirectory } from "#lib/db/testing.ts";
import { createLog } from "#lib/log/log.ts";
import type { Logger } from "#lib/log/log.ts";
import { Registry } from "#lib/metrics/metrics.ts";
import type { InstanceSource, Role } from "#lib/rpc/caller.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { startServer } from "#lib/rpc/server.ts";
import { startCoordinator } from "../../../coordinator/main.ts";
import { startMappingService } from "../../../mapping-service/main.ts";

/** Every service over a real PostgreSQL, in this process, behind one listener that takes tokens and hosts' certificates alike. */
export interface Installation {
  readonly address: string;
  readonly ca: string;
  /** As a role that may everything. */
  readonly databaseUrl: string;
  token(who: { role: Role; accountId?: string; principalId?: string; via?: InstanceSource }): Promise<string>;
  /** A certificate as a host's, by its URI. */
  certificate(uri: string): Promise<{ cert: string; key: string }>;
  channel(settings: { token?: string; cert?: string; key?: string }): RpcChannel;
  stop(): Promise<void>;
}

export async function startInstallation(log: Logger = createLog({ name: "test", level: "silent" })): Promise<Installation> {
  const undo: (() => Promise<unknown> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    const postgres = await startTestPostgres();
    undo.push(() => postgres.stop());
    const directory = await testDirectory("calls");
    undo.push(() => rm(directory, { recursive: true, force: true }));
    const ca = await openCertificateAuthority(directory);
    const tokens = await openTokenIssuer(directory);
    const bus = new MemoryHub().connect(log);
    undo.push(() => bus.close());
    const given = { databaseUrl: postgres.url, adminDatabaseUrl: postgres.url, bus, ca, tokens, log, registry: new Registry() };
    const handles = [];
    for (const start of [startCoordinator, startMappingService]) {
      const handle = await start(given);
      undo.push(() => handle.stop());
      handles.push(handle);
    }
    // Written by the mapping service, whose right to it is the smaller one.
    const write = handles[1]?.noteRefusals ?? (() => Promise.resolve());
    const refusals = startRefusalLog({ write, dropped: () => undefined, log, everyMs: 50 });
    undo.push(() => refusals.stop());
    const tls = { ...(await ca.issueServer(["localhost"])), ca: ca.ca, requestClientCert: true };
    const server = await startServer({
      listeners: [{ address: "127.0.0.1:0", tls }],
      services: [...new Set(handles.flatMap((handle) => [...handle.api, ...handle.internal]))],
      log,
      verifier: tokens,
      refused: refusals.note,
      anonymousMethods: ["/plenum.host.v1.HostFeedService/Join"],
    });
    undo.push(() => server.stop(500));
    const address = server.addresses[0] ?? "";
    const channels: RpcChannel[] = [];
    undo.push(() => channels.forEach((channel) => channel.close()));
    return {
      address,
      ca: ca.ca,
      databaseUrl: postgres.url,
      token: async ({ role, accountId = "", principalId = "alice", ...via }) =>
        (await tokens.issue({ principalId, accountId, roles: [role], ...via })).token,
      certificate: (uri) => ca.issueUri(uri, 600_000),
      channel(settings) {
        const channel = openChannel({ address, ca: ca.ca, serverName: "localhost", deadlineMs: 60_000, ...settings });
        channels.push(channel);
        return channel;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
