import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "../log/log.ts";
import { findExecutable, startChild } from "../process/child.ts";
import type { Child } from "../process/child.ts";
import { replaceFile } from "../process/files.ts";

const run = promisify(execFile);

const MINIMUM = [2, 9, 10] as const;
const START_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 10_000;

export interface LocalNats {
  /** With a token of its own: other programs on this machine stay out. */
  readonly url: string;
  readonly pid: number;
  readonly version: string;
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
}

/** "nats-server: v2.9.10" → [2, 9, 10]; undefined for anything else. */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const match = /v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
}

const atLeast = (version: readonly number[], minimum: readonly number[]): boolean => {
  for (const [index, wanted] of minimum.entries()) {
    const given = version[index] ?? 0;
    if (given !== wanted) return given > wanted;
  }
  return true;
};

async function findServer(): Promise<{ path: string; version: string }> {
  const path = findExecutable("nats-server");
  if (path === undefined) throw new Error("there is no nats-server on this machine: install it (Debian: nats-server)");
  const { stdout, stderr } = await run(path, ["--version"]);
  const version = parseVersion(stdout + stderr);
  if (version === undefined || !atLeast(version, MINIMUM)) {
    throw new Error(`${path} is ${(stdout + stderr).trim()}; ${MINIMUM.join(".")} or later is needed`);
  }
  return { path, version: version.join(".") };
}

/** NATS's configuration: JSON is a subset of its syntax. */
const configuration = (options: { host: string; port: number; token: string; store: string; ports: string }): string =>
  JSON.stringify({
    listen: `${options.host}:${options.port}`,
    ports_file_dir: options.ports,
    authorization: { token: options.token },
    jetstream: { store_dir: options.store },
    max_payload: 1_048_576,
  });

/** The server writes where it listens into a file named after its pid: no port is chosen twice, none is guessed. */
async function waitPorts(child: Child, directory: string): Promise<string> {
  const file = join(directory, `nats-server_${child.pid}.ports`);
  let ended = false;
  void child.exited.then(() => (ended = true));
  for (const limit = performance.now() + START_LIMIT_MS; performance.now() < limit && !ended; await delay(10)) {
    const text = await readFile(file, "utf8").catch(() => "");
    const [address] = text.endsWith("}") ? (JSON.parse(text) as { nats: string[] }).nats : [];
    if (address !== undefined) return address;
  }
  throw new Error(ended ? "nats-server ended at its start" : "nats-server does not say where it listens");
}

/**
 * A NATS server of our own, on `host` (default the loopback of our namespace) and any free port, with JetStream stored under
 * `dataDir`. It dies with us. Give `port` and `token` of before to start it again under the same URL.
 */
export async function startNatsServer(options: {
  dataDir: string;
  log: Logger;
  host?: string;
  port?: number;
  token?: string;
}): Promise<LocalNats> {
  const { path, version } = await findServer();
  const directory = join(resolve(options.dataDir), "nats");
  const store = join(directory, "store");
  const ports = join(directory, "ports");
  await mkdir(store, { recursive: true, mode: 0o700 });
  await rm(ports, { recursive: true, force: true });
  await mkdir(ports, { mode: 0o700 });
  const token = options.token ?? randomBytes(24).toString("hex");
  const config = join(directory, "nats.conf");
  // Port -1: any free one.
  await replaceFile(config, configuration({ host: options.host ?? "127.0.0.1", port: options.port ?? -1, token, store, ports }), 0o600);
  const logFile = await open(join(directory, "nats.log"), "a", 0o640);
  let child: Child;
  try {
    child = await startChild({ command: path, args: ["-c", config], output: logFile.fd, deathSignal: "TERM" });
  } finally {
    await logFile.close();
  }
  try {
    const address = await waitPorts(child, ports);
    const url = address.replace("nats://", `nats://${token}@`);
    options.log.info({ pid: child.pid, version }, "nats-server runs");
    return { url, pid: child.pid, version, exited: child.exited, stop: () => child.stop("SIGTERM", STOP_LIMIT_MS) };
  } catch (error) {
    await child.stop("SIGTERM", STOP_LIMIT_MS);
    throw new Error(`nats-server did not start; its log is ${join(directory, "nats.log")}`, { cause: error });
  }
}
