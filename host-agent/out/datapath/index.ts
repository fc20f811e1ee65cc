/** The data plane of one host: BPF programs and maps behind the port `Datapath` (core/ports.ts). */
export { buildBpf, type BuiltObject } from "../../bpf/build.ts";
export type { AttachMode } from "./attach.ts";
export { LIMITS } from "./codec.ts";
export { DEFAULT_CONNECTION_LIMITS, type ConnectionLimits } from "./connections.ts";
export { BpfDatapath, openDatapath, type DatapathOptions } from "./datapath.ts";
export { DROP_REASONS as dropReasons, SCHEMA } from "./layout.gen.ts";
export type { Upgrade } from "./takeover.ts";
