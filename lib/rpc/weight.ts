import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Duration } from "#gen/google/protobuf/duration.ts";

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (request: unknown): Fields => (typeof request === "object" && request !== null ? (request as Fields) : {});
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** How many things a call is about: a batch its items, any other call one. `path`: the RPC's. */
export function itemsOf(path: string, request: unknown): number {
  if (!nameOf(path).startsWith("Batch")) return 1;
  const lists = Object.values(fieldsOf(request)).filter((value) => Array.isArray(value));
  return Math.max(1, ...lists.map((list) => list.length));
}

const isZero = (duration: Duration | undefined): boolean => duration !== undefined && duration.seconds <= 0n && duration.nanos <= 0;

/** Whether a call may stay open to wait for something: it asks for more than the commit, and gives it time (absent: the default). */
export function mayWait(path: string, request: unknown): boolean {
  const fields = fieldsOf(request);
  if ("waitTimeout" in fields) return fields["wait"] !== WaitFor.COMMITTED && !isZero(fields["waitTimeout"] as Duration | undefined);
  return nameOf(path).startsWith("Wait") && "timeout" in fields && !isZero(fields["timeout"] as Duration | undefined);
}
