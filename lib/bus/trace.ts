import { context, propagation } from "@opentelemetry/api";
import type { BusHeaders } from "./bus.ts";

/** The headers with the active trace in them (`traceparent`): no instrumentation exists for the bus. */
export function withTrace(headers: BusHeaders): BusHeaders {
  const carrier: Record<string, string> = { ...headers };
  propagation.inject(context.active(), carrier);
  return carrier;
}

/** Run `body` as part of the trace that a message carries. */
export function inTraceOf<Result>(headers: BusHeaders, body: () => Result): Result {
  return context.with(propagation.extract(context.active(), headers), body);
}
