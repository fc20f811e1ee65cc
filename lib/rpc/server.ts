import { chmod, lstat, rm } from "node:fs/promises";
import { connect } from "node:net";
import { createServer } from "nice-grpc";
import type { Server } from "nice-grpc";
import { errorDetailsServerMiddleware } from "nice-grpc-error-details";
import type { Logger } from "../log/log.ts";
import { actionsOf } from "./actions.ts";
import type { TokenVerifier } from "./caller.ts";
import { contextMiddleware } from "./context.ts";
import type { CallObserver, ContextOptions } from "./context.ts";
import { handlersOf, pathsOf, servable, serviceName } from "./definition.ts";
import type { ServiceBinding } from "./definition.ts";
import { Health, healthService } from "./health.ts";
import { peerIdentityInterceptor } from "./peer.ts";
import { reflectionServices } from "./reflection.ts";
import type { Throttle } from "./throttle.ts";
import { serverCredentials } from "./tls.ts";
import type { RotatableCredentials, ServerTls } from "./tls.ts";

export interface Listener {
  /** "unix:/absolute/path" or "host:port" (port 0: any free one, see `RpcServer.addresses`). */
  readonly address: string;
  /** Without it the listener is plain text: for tests, and for a socket that only we can reach. */
  readonly tls?: ServerTls | undefined;
}

export interface ServerOptions {
  readonly listeners: readonly Listener[];
  readonly services: readonly ServiceBinding[];
  readonly log: Logger;
  /** Verifies bearer tokens. Without it no token is accepted (a listener for hosts only). */
  readonly verifier?: TokenVerifier | undefined;
  /** RPC paths that may be called by nobody in particular. Health and reflection always may. */
  readonly anonymousMethods?: readonly string[];
  /** `buf build -o` image with imports; with it the server answers reflection. */
  readonly descriptorImage?: Uint8Array | undefined;
  readonly observe?: CallObserver | undefined;
  /** Bounds how often each caller calls; absent: nothing does. */
  readonly throttle?: Throttle | undefined;
  /** Told of calls that the door refuses, and of refusals that handlers have not put into the audit. */
  readonly refused?: ContextOptions["refused"];
  /** RPCs without an authorisation action are refused at start (C15). Only a test serves foreign definitions. */
  readonly requireActions?: boolean;
}

export interface RpcServer {
  /** Where it listens, in the order of the listeners, with real ports. */
  readonly addresses: readonly string[];
  readonly health: Health;
  /** New connections of listener `index` get this certificate. */
  rotate(index: number, tls: ServerTls): void;
  /** No new calls, streams end with UNAVAILABLE, unary calls finish; after `graceMs` (default 5,000) what is left is cut. */
  stop(graceMs?: number): Promise<void>;
}

/** Largest message either way. Snapshots are cut into pieces far below this. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  // A host that died without a word is noticed in 15 s, on an idle stream too.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
};

/** A socket left by a dead process is removed; one that a live process listens on is an error. */
async function clearStaleSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`${path} is in the way and is not a socket`);
  const live = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
  if (live) throw new Error(`${path} is served by another process`);
  await rm(path, { force: true });
}

/** C15: nothing is callable that nobody decided about. */
function checkActions(services: readonly ServiceBinding[]): void {
  const actions = actionsOf(services.map((service) => service.definition));
  const missing = services.flatMap((service) => pathsOf(service.definition)).filter((path) => !actions.has(path));
  if (missing.length > 0) throw new Error(`RPCs without plenum.options.v1.action: ${missing.join(", ")}`);
}

function checkImplementations(services: readonly ServiceBinding[]): void {
  for (const { definition, implementation } of services) {
    for (const key of handlersOf(definition)) {
      if (typeof (implementation as Record<string, unknown>)[key] !== "function") {
        throw new Error(`${serviceName(definition)}: nothing implements ${key}`);
      }
    }
  }
}

interface Bound {
  readonly server: Server;
  readonly address: string;
  readonly tls: RotatableCredentials | undefined;
}

async function listen(listener: Listener, build: () => Server): Promise<Bound> {
  const socketPath = listener.address.startsWith("unix:") ? listener.address.slice("unix:".length) : undefined;
  if (socketPath !== undefined) await clearStaleSocket(socketPath);
  const tls = listener.tls === undefined ? undefined : serverCredentials(listener.tls);
  const server = build();
  const port = await server.listen(listener.address, tls?.credentials);
  if (socketPath === undefined) return { server, address: listener.address.replace(/:\d+$/, `:${port}`), tls };
  await chmod(socketPath, 0o600);
  return { server, address: listener.address, tls };
}

async function close(server: Server, graceMs: number): Promise<void> {
  const timer = setTimeout(() => server.forceShutdown(), graceMs);
  try {
    await server.shutdown();
  } finally {
    clearTimeout(timer);
  }
}

/** Serve `services` on every listener, with health, reflection, identity and one form of error. */
export async function startServer(options: ServerOptions): Promise<RpcServer> {
  if (options.requireActions !== false) checkActions(options.services);
  checkImplementations(options.services);
  const closing = new AbortController();
  const health = new Health();
  const names = options.services.map((service) => serviceName(service.definition));
  const infrastructure = [
    healthService(health),
    ...(options.descriptorImage === undefined ? [] : reflectionServices(options.descriptorImage, [...names, "grpc.health.v1.Health"])),
  ];
  const anonymous = new Set([...infrastructure.flatMap((service) => pathsOf(service.definition)), ...(options.anonymousMethods ?? [])]);
  const middleware = contextMiddleware({
    log: options.log,
    verifier: options.verifier,
    anonymous,
    closing: closing.signal,
    observe: options.observe,
    throttle: options.throttle,
    refused: options.refused,
  });
  const build = (): Server => {
    const server = createServer({ ...CHANNEL_OPTIONS, interceptors: [peerIdentityInterceptor] })
      .use(errorDetailsServerMiddleware)
      .use(middleware);
    for (const { definition, implementation } of [...options.services, ...infrastructure]) {
      server.add(servable(definition), implementation as Parameters<typeof server.add>[1]);
    }
    return server;
  };
  const bound: Bound[] = [];
  const stop = async (graceMs = 5_000): Promise<void> => {
    health.setAll(false);
    closing.abort();
    await Promise.all(bound.map(({ server }) => close(server, graceMs)));
  };
  try {
    for (const listener of options.listeners) bound.push(await listen(listener, build));
  } catch (error) {
    await stop(0);
    throw error;
  }
  for (const name of ["", ...names]) health.set(name, true);
  return {
    addresses: bound.map((one) => one.address),
    health,
    rotate(index, tls) {
      const credentials = bound[index]?.tls;
      if (credentials === undefined) throw new RangeError(`listener ${index} has no TLS`);
      credentials.rotate(tls);
    },
    stop,
  };
}
