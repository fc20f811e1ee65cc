import fc from "fast-check";
import type { WorldEvent } from "./feed-world.ts";

const small = fc.nat(9);
const octet = fc.nat(20);

/** One thing that happens in the control plane. */
export const worldEvent: fc.Arbitrary<WorldEvent> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("run" as const), instance: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("terminate" as const), instance: small }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("attach" as const), instance: small }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("detach" as const), attachment: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("return" as const), attachment: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rules" as const), attachment: small, ruleset: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sets" as const), group: small, set: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("address" as const), attachment: small, octet }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("map" as const), network: small, octet, host: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unmap" as const), network: small, octet }) },
);
