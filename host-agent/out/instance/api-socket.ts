import { chmodSync, chownSync, closeSync, constants, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import { joinSockets } from "#lib/net/join-sockets.ts";
import type { Pace } from "#lib/net/join-sockets.ts";

/** Of one instance at the same time: a client needs one. More are closed as they come. */
export const CONNECTIONS_OF_INSTANCE = 16;

export interface ApiSocketOptions {
  /** Where the socket is to be: a directory that only root changes. */
  readonly directory: string;
  /** Whose group may connect. */
  readonly gid: number;
  /** A connection to the API, with `allowHalfOpen`; undefined: the host has no room for one more. */
  readonly connect: () => Socket | undefined;
  /** Whether one more connection may begin now (0), or after how many milliseconds. */
  readonly admit: () => number;
  readonly pace: Pace;
  /** Told when it cannot listen again after a rest. */
  readonly failed: (error: unknown) => void;
}

/** The name in the directory. */
export const SOCKET_NAME = "api.sock";

/**
 * A socket whose connections are carried to the API as they are: bytes only, TLS is between guest and API, and nothing of the host's own
 * credentials is part of it. What cannot be reached ends the guest's connection. Who connects too often finds nobody for a while: each
 * connection is this process's work, which is everybody's on the host.
 */
export class ApiSocket {
  readonly #options: ApiSocketOptions;
  /** Holds the directory: by it the socket's name is short, however long the path (sockaddr_un has 108 bytes). */
  readonly #handle: number;
  readonly #open = new Set<Socket>();
  #server: Server;
  #resting: NodeJS.Timeout | undefined;

  /** Takes the place of a dead agent's socket. @throws Error when it cannot be made */
  constructor(options: ApiSocketOptions) {
    this.#options = options;
    this.#handle = openSync(options.directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      this.#server = this.#listen();
    } catch (error) {
      closeSync(this.#handle);
      throw error;
    }
  }

  /** Connections that are carried now. */
  get connections(): number {
    return this.#open.size / 2;
  }

  close(): void {
    clearTimeout(this.#resting);
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    this.#unlink();
    closeSync(this.#handle);
  }

  #listen(): Server {
    const { directory, gid } = this.#options;
    this.#unlink();
    const server = createServer({ allowHalfOpen: true }, (near) => this.#take(near));
    server.maxConnections = CONNECTIONS_OF_INSTANCE;
    server.on("drop", () => this.#admit());
    // Bound when this returns, or failed; who connects before the next lines is root.
    const failed = this.#options.failed;
    server.on("error", failed).listen(`/proc/self/fd/${this.#handle}/${SOCKET_NAME}`);
    if (!server.listening) throw new Error(`no socket can be made in ${directory}`);
    chownSync(join(directory, SOCKET_NAME), 0, gid);
    chmodSync(join(directory, SOCKET_NAME), 0o660);
    return server;
  }

  /** Each that comes counts, also one that is closed at once. False: they come too often. */
  #admit(): boolean {
    const wait = this.#options.admit();
    if (wait > 0) this.#rest(wait);
    return wait === 0;
  }

  #take(near: Socket): void {
    const far = this.#admit() ? this.#options.connect() : undefined;
    if (far === undefined) return void near.destroy();
    for (const socket of [near, far]) {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
    }
    joinSockets(near, far, this.#options.pace);
  }

  #rest(milliseconds: number): void {
    this.#server.close();
    this.#unlink();
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      try {
        this.#server = this.#listen();
      } catch (error) {
        this.#options.failed(error);
        this.#rest(milliseconds);
      }
    }, milliseconds);
  }

  #unlink(): void {
    rmSync(join(this.#options.directory, SOCKET_NAME), { force: true });
  }
}
