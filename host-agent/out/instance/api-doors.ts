import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { textOf } from "#lib/linux/index.ts";
import { socketPlace } from "#lib/net/socket-place.ts";
import { TokenBuckets } from "#lib/rpc/token-bucket.ts";
import { ApiPace } from "./api-pace.ts";
import { ApiSocket, SOCKET_NAME } from "./api-socket.ts";

/** Where an instance's processes have their view: a directory of their own is mounted there. */
export const VIEW = "/run/plenum";

/** Of all instances of the host at the same time: a connection holds some hundred kilobytes at most. */
const CONNECTIONS_OF_HOST = 1_024;
/** New connections a second of one instance. One that is above it rests this long. */
const CONNECTS = { perSecond: 20, burst: 40 };
const REST_MS = 1_000;

const TOKEN = "token";
const ROOTS = "ca.pem";

/** Keeps an instance supplied with tokens. */
export interface TokenSource {
  /** Gives `put` a token at once and a new one before each ends, until `drop`; undefined: there is none now. */
  keep(instanceId: string, put: (token: string | undefined) => void): void;
  drop(instanceId: string): void;
}

export interface ApiDoorsOptions {
  /** Of the API: "unix:/path" or "host:port"; undefined: this host was not told. */
  readonly endpoint: string | undefined;
  readonly tokens: TokenSource;
  /** PEM of the roots that the API's certificate chains to. */
  readonly roots: () => string;
  /** Something of an instance's socket went wrong after it was there; it is tried again. */
  readonly failed: (instanceId: string, error: unknown) => void;
}

/** Where an instance's view is on the host, and whose group reads it. */
export interface View {
  readonly directory: string;
  readonly gid: number;
}

interface Door {
  readonly socket: ApiSocket;
  readonly identity: string;
}

/**
 * What instances that act as principals find in their view: the API's socket, a token, and the roots to check the API by. Nobody else has
 * it: the directory lies where only root comes, is mounted into one instance's mount namespaces, and is of its group.
 */
export class ApiDoors {
  readonly #options: ApiDoorsOptions;
  readonly #doors = new Map<string, Door>();
  readonly #pace = new ApiPace();
  readonly #connects = new TokenBuckets(CONNECTS);

  constructor(options: ApiDoorsOptions) {
    this.#options = options;
  }

  /**
   * Bring the view to `identity` (InstanceSpec.identity). With another one than before, the token of before goes; connections stay, as
   * they are worth nothing without a token. @throws Error where the host has no way to the API
   */
  set(instanceId: string, view: View, identity: string): void {
    makeView(view);
    const before = this.#doors.get(instanceId);
    if (before?.identity === identity) return;
    this.#options.tokens.drop(instanceId);
    if (identity === "") {
      this.remove(instanceId);
      for (const name of [SOCKET_NAME, TOKEN, ROOTS, `${TOKEN}.tmp`, `${ROOTS}.tmp`]) rmSync(join(view.directory, name), { force: true });
      return;
    }
    if (this.#options.endpoint === undefined)
      throw new Error("this host was not told where the API is (--api-endpoint): what acts as a principal has no way to it here");
    if (before !== undefined) rmSync(join(view.directory, TOKEN), { force: true });
    this.#put(view, ROOTS, this.#options.roots());
    this.#doors.set(instanceId, { socket: before?.socket ?? this.#open(instanceId, view), identity });
    this.#options.tokens.keep(instanceId, (token) => {
      this.#put(view, ROOTS, this.#options.roots());
      this.#put(view, TOKEN, token);
    });
  }

  /** Connections end, the socket goes; what else is in the view goes with it. */
  remove(instanceId: string): void {
    this.#options.tokens.drop(instanceId);
    this.#doors.get(instanceId)?.socket.close();
    this.#doors.delete(instanceId);
  }

  /** Ends all; tokens stay for the next agent to renew. */
  close(): void {
    for (const instanceId of [...this.#doors.keys()]) this.remove(instanceId);
  }

  #open(instanceId: string, { directory, gid }: View): ApiSocket {
    const now = (): number => performance.now();
    return new ApiSocket({
      directory,
      gid,
      connect: () => this.#connect(),
      admit: () => (this.#connects.take(instanceId, now()) === 0 ? 0 : REST_MS),
      pace: (bytes) => this.#pace.take(instanceId, now(), bytes),
      failed: (error) => this.#options.failed(instanceId, error),
    });
  }

  #connect(): Socket | undefined {
    const open = [...this.#doors.values()].reduce((sum, { socket }) => sum + socket.connections, 0);
    return open >= CONNECTIONS_OF_HOST ? undefined : connect({ ...socketPlace(this.#options.endpoint ?? ""), allowHalfOpen: true });
  }

  #put({ directory, gid }: View, name: string, text: string | undefined): void {
    const path = join(directory, name);
    if (text === undefined) return rmSync(path, { force: true });
    if (textOf(path) === text) return;
    writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
    chownSync(`${path}.tmp`, 0, gid);
    chmodSync(`${path}.tmp`, 0o640);
    renameSync(`${path}.tmp`, path); // who reads has the old one or the new one
  }
}

/** Every instance has one, most of them empty: what runs already sees what comes later. */
export function makeView({ directory, gid }: View): void {
  mkdirSync(directory, { recursive: true });
  chownSync(directory, 0, gid);
  chmodSync(directory, 0o750);
}
