import { atShutdown } from "../shutdown/hooks.ts";
import { startTelemetry } from "./telemetry.ts";

/** For `node --import`: runs before everything else, so that grpc-js is instrumented when it loads. */
const telemetry = startTelemetry();
if (telemetry !== undefined) atShutdown("telemetry", () => telemetry.shutdown());
