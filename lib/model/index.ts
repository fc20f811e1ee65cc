/** The reference model of a packet's fate (D23), written from docs/design/datapath.md and connections.md. */
export type { Configuration, Direction, Endpoint, Host, Mapping, Rule, Ruleset } from "./configuration.ts";
export { idleLimit, isIdle, keyText, type Connection, type ConnectionKey } from "./connection.ts";
export { decide, type Packet } from "./decide.ts";
export { HOST, type Decision, type Drop } from "./decision.ts";
export type { DropReason } from "./drop-reason.ts";
export type { FirstFragment } from "./fragment.ts";
export type { Outcome } from "./handover.ts";
export type { MeterChange } from "./metering.ts";
export { NOTHING, type State } from "./state.ts";
