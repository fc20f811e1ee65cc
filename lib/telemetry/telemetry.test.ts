import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { afterEach, expect, it } from "vitest";
import { startTelemetry } from "./telemetry.ts";

const run = promisify(execFile);

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
}
interface Export {
  resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A collector that keeps every span sent to it as OTLP over HTTP, in JSON. */
async function collector(): Promise<{ url: string; spans: Span[] }> {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts);
      const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body).toString() : body.toString();
      if (request.url === "/v1/traces")
        spans.push(...(JSON.parse(text) as Export).resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans)));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans };
}

it("does nothing without an endpoint", () => {
  expect(startTelemetry({})).toBeUndefined();
});

it("traces a call from the client through the server to a bus message, and gives the log its ids", async () => {
  const { url, spans } = await collector();
  const register = join(import.meta.dirname, "register.ts");
  const program = join(import.meta.dirname, "traced-program.ts");
  const { stdout } = await run(process.execPath, ["--import", register, program], {
    env: {
      ...process.env,
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_SERVICE_NAME: "traced",
      NODE_OPTIONS: "",
    },
  });
  const said = JSON.parse(stdout) as { logTraceId: string; busTraceparent: string };
  const client = spans.find((span) => span.kind === 3);
  const server = spans.find((span) => span.kind === 2);
  expect(client?.name).toContain("WhoAmI");
  expect(server).toMatchObject({ traceId: client?.traceId, parentSpanId: client?.spanId });
  expect(said.logTraceId).toBe(server?.traceId);
  expect(said.busTraceparent).toBe(`00-${server?.traceId}-${server?.spanId}-01`);
});
