import { GrpcInstrumentation } from "@opentelemetry/instrumentation-grpc";
import { NodeSDK } from "@opentelemetry/sdk-node";

export interface Telemetry {
  /** Send what is still held, and stop. */
  shutdown(): Promise<void>;
}

/** Method names. Reflection and health are asked by machines all day, and a feed's stream never ends: spans of them tell nothing. */
const NOT_TRACED = ["ServerReflectionInfo", "Check", /^Watch/, "Connect"];

/**
 * Traces through OTLP, only where OTEL_EXPORTER_OTLP_ENDPOINT (or the one for traces) says where to; all else by the usual OTEL_
 * variables. Must run before grpc-js is loaded: start processes with `--import lib/telemetry/register.ts`. Metrics and logs have
 * their own ways (Prometheus, standard error). Returns undefined when there is nowhere to send to.
 */
export function startTelemetry(env: NodeJS.ProcessEnv = process.env): Telemetry | undefined {
  if (!env["OTEL_EXPORTER_OTLP_ENDPOINT"] && !env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) return undefined;
  const sdk = new NodeSDK({
    serviceName: env["OTEL_SERVICE_NAME"] ?? "plenum",
    instrumentations: [new GrpcInstrumentation({ ignoreGrpcMethods: NOT_TRACED })],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return { shutdown: () => sdk.shutdown() };
}
