import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { hasCode } from "#lib/linux/index.ts";
import { joinSockets } from "#lib/net/join-sockets.ts";
import { CliError, ExitCode } from "../cli-error.ts";

/** A running relay. */
export interface Relay {
  port: number;
  close(): Promise<void>;
}

/**
 * Carries connections to 127.0.0.1:`port` (0: any free one) of this namespace to a unix socket: those cross network namespaces (C18).
 * Bytes only; TLS is between the two ends.
 * @throws CliError if the port is taken
 */
export async function startRelay(port: number, socketPath: string): Promise<Relay> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ path: socketPath, allowHalfOpen: true });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
    // When the control plane restarts, the client sees a broken connection and connects again.
    joinSockets(near, far);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        hasCode(error, "EADDRINUSE")
          ? new CliError(`127.0.0.1:${port} is taken by another program`, "name another with --port (0: any free one)", ExitCode.CONFLICT)
          : error,
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
