import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import type { Logger } from "../log/log.ts";
import { socketPlace } from "../net/socket-place.ts";

export interface MetricsServer {
  /** "host:port", with the real port. */
  readonly address: string;
  close(): Promise<void>;
}

export interface MetricsOptions {
  readonly registry: Registry;
  /** "host:port" (port 0 takes any free one) or "unix:/path" (a socket that is there is replaced). */
  readonly address: string;
  readonly log: Logger;
  /** Whether the process does its work now, for /readyz. Default: always. */
  readonly ready?: () => boolean;
}

function answer(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
}

/** Plain HTTP for machines: /metrics (Prometheus), /healthz (the process lives), /readyz (it works). Nothing secret is there. */
export async function serveMetrics(options: MetricsOptions): Promise<MetricsServer> {
  const { registry, log } = options;
  const respond = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === "/metrics") answer(response, 200, await registry.metrics(), registry.contentType);
    else if (path === "/healthz") answer(response, 200, "ok\n");
    else if (path === "/readyz")
      answer(response, options.ready?.() === false ? 503 : 200, options.ready?.() === false ? "not ready\n" : "ok\n");
    else answer(response, 404, "try /metrics, /healthz or /readyz\n");
  };
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "GET only\n");
    respond(new URL(request.url ?? "/", "http://metrics").pathname, response).catch((error: unknown) => {
      log.error({ err: error }, "cannot answer a metrics request");
      answer(response, 500, "failed; see the log\n");
    });
  });
  const place = socketPlace(options.address);
  if ("path" in place) await rm(place.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(place, resolve);
  });
  return {
    address: "path" in place ? options.address : options.address.replace(/:\d+$/, `:${(server.address() as AddressInfo).port}`),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
