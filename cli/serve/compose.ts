import { readFile } from "node:fs/promises";
import { startRefusalLog } from "#lib/audit/refusal-log.ts";
import type { RefusalLog } from "#lib/audit/refusal-log.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import type { OidcIssuer } from "#lib/auth/oidc.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import { anyIssuer } from "#lib/auth/verifiers.ts";
import { openNatsBus } from "#lib/bus/nats.ts";
import type { Logger } from "#lib/log/log.ts";
import { busMetrics, createRegistry, refusalMetrics, rpcMetrics, throttleMetrics, waitingMetrics } from "#lib/metrics/metrics.ts";
import type { Registry } from "#lib/metrics/metrics.ts";
import { serveMetrics } from "#lib/metrics/serve.ts";
import { createThrottle, DEFAULT_RATES, startServer } from "#lib/rpc/rpc.ts";
import type { CallObserver, RpcServer, Throttle, ThrottleOptions, TokenVerifier } from "#lib/rpc/rpc.ts";
import type { ServiceHandle } from "#lib/service/service.ts";
import { SERVICES } from "./services.ts";

/** What runs in one process, and where it listens. */
export interface ComposeOptions {
  /** Names in SERVICES; started in this order. */
  services: readonly string[];
  /** PostgreSQL as the role of a service. */
  databaseUrl: (service: string) => string;
  /** May migrate; without it schemas must be up to date. */
  adminDatabaseUrl?: string;
  natsUrl: string;
  /** Where the certificate authority and the token key lie. Copies of a service share them. */
  secretsDir: string;
  /** API listeners, "unix:/path" or "host:port". */
  api: readonly string[];
  /** "host:port" for hosts. */
  internal?: string;
  /** Names and addresses that the certificates carry. */
  serverNames: readonly string[];
  /** "unix:/path" or "host:port" for /metrics. */
  metrics?: string;
  /** Issuers of tokens beside the built-in one. */
  oidc?: readonly OidcIssuer[];
  /** How often each caller may call; absent: DEFAULT_RATES. */
  rates?: Pick<ThrottleOptions, "known" | "unknown" | "account" | "waitingCalls">;
  log: Logger;
}

export interface Composition {
  /** Real ports, in the order of `api`. */
  api: readonly string[];
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;
/** The only call that may be made without being somebody: it makes one somebody. */
const ANONYMOUS = ["/plenum.host.v1.HostFeedService/Join"];
const IMAGE = new URL("../../gen/plenum.binpb", import.meta.url);

/** Starts services in this process, in order, and serves them. What was started is stopped again if one cannot start. */
export async function compose(options: ComposeOptions): Promise<Composition> {
  const { log } = options;
  const registry = createRegistry();
  const ca = await openCertificateAuthority(options.secretsDir);
  const tokens = await openTokenIssuer(options.secretsDir);
  const bus = openNatsBus({ url: options.natsUrl, name: "plenum", log });
  busMetrics(registry, bus);
  const undo: (() => Promise<void>)[] = [() => bus.close()];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const handles: ServiceHandle[] = [];
    for (const name of options.services) {
      const entry = SERVICES[name];
      if (entry === undefined) throw new Error(`there is no service ${name}; there are ${Object.keys(SERVICES).join(", ")}`);
      const handle = await entry.start({
        databaseUrl: options.databaseUrl(name),
        adminDatabaseUrl: options.adminDatabaseUrl,
        bus,
        ca,
        tokens,
        log,
        registry,
        internalEndpoint: options.internal,
      });
      handles.push(handle);
      undo.push(() => handle.stop());
    }
    const throttle = createThrottle({ ...DEFAULT_RATES, ...options.rates, refused: throttleMetrics(registry) });
    waitingMetrics(registry, throttle);
    const refusals = refusalLog(handles, registry, log);
    undo.push(async () => refusals?.stop());
    const refused = refusals?.note;
    const doors = { verifier: anyIssuer(tokens, options.oidc ?? []), observe: rpcMetrics(registry), throttle, refused };
    const server = await listen(options, handles, ca, doors);
    undo.push(() => server.stop());
    if (options.metrics !== undefined) {
      const metrics = await serveMetrics({ registry, address: options.metrics, log });
      undo.push(() => metrics.close());
    }
    return { api: server.api, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One log for the process: whichever service can writes what the doors of all refused. */
function refusalLog(handles: readonly ServiceHandle[], registry: Registry, log: Logger): RefusalLog | undefined {
  const write = handles.find((handle) => handle.noteRefusals !== undefined)?.noteRefusals;
  return write === undefined ? undefined : startRefusalLog({ write, dropped: refusalMetrics(registry), log });
}

async function listen(
  options: ComposeOptions,
  handles: readonly ServiceHandle[],
  ca: CertificateAuthority,
  doors: { verifier: TokenVerifier; observe: CallObserver; throttle: Throttle; refused: RefusalLog["note"] | undefined },
): Promise<{ api: readonly string[]; stop: () => Promise<void> }> {
  const { log, internal } = options;
  const { observe, throttle, refused } = doors;
  const certificate = await ca.issueServer(options.serverNames);
  const descriptorImage = await readFile(IMAGE);
  const servers: RpcServer[] = [];
  const api = await startServer({
    listeners: options.api.map((address) => ({ address, tls: certificate })),
    services: handles.flatMap((handle) => handle.api),
    log,
    descriptorImage,
    ...doors,
  });
  servers.push(api);
  const hostTls = { requestClientCert: true, ca: ca.ca };
  try {
    if (internal !== undefined) {
      const services = handles.flatMap((handle) => handle.internal);
      const listeners = [{ address: internal, tls: { ...certificate, ...hostTls } }];
      servers.push(await startServer({ listeners, services, log, anonymousMethods: ANONYMOUS, observe, throttle, refused }));
    }
  } catch (error) {
    await api.stop(0);
    throw error;
  }
  const rotate = async (): Promise<void> => {
    const next = await ca.issueServer(options.serverNames);
    for (const index of options.api.keys()) api.rotate(index, next);
    servers[1]?.rotate(0, { ...next, ...hostTls });
  };
  // Certificates live 90 days: a fresh one each day never meets the end of its own.
  const timer = setInterval(() => void rotate().catch((error: unknown) => log.error({ err: error }, "no new server certificate")), DAY_MS);
  return {
    api: api.addresses,
    async stop() {
      clearInterval(timer);
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}
