import { isSpanContextValid, trace } from "@opentelemetry/api";
import { pino } from "pino";
import type { DestinationStream, Logger } from "pino";

export type { Logger } from "pino";

export interface LogOptions {
  /** Which process or service writes ("coordinator"). */
  readonly name: string;
  /** trace, debug, info, warn, error, fatal or silent. Default "info". */
  readonly level?: string;
  /** Where the lines go. Default: standard error, so that a command's output stays its own. */
  readonly destination?: DestinationStream;
}

/** Trace and span id of the active span, so that a log line finds its trace. Empty without one. */
function activeSpan(): object {
  const context = trace.getActiveSpan()?.spanContext();
  if (context === undefined || !isSpanContextValid(context)) return {};
  return { trace_id: context.traceId, span_id: context.spanId };
}

/** Secrets never reach a log line, under whatever object they are logged. */
const REDACT = ["authorization", "token", "password", "*.authorization", "*.token", "*.password", "*.private_key"];

/** JSON lines through pino: one per event, with trace ids. Cheap to call per service; use `.child({...})` below that. */
export function createLog(options: LogOptions): Logger {
  return pino(
    {
      name: options.name,
      level: options.level ?? "info",
      mixin: activeSpan,
      base: { pid: process.pid },
      redact: { paths: REDACT, censor: "[redacted]" },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
}

/** A log that says nothing, for tests. */
export function silentLog(): Logger {
  return pino({ level: "silent" });
}
