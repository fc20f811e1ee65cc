import type { WriteCall } from "../call/api.ts";
import type { Operations } from "../identity/api.ts";
import { settleForced, standingOfInstances } from "../interface/api.ts";
import { settleForced as settledInstance } from "./core/instance-state.ts";
import { leaveHost } from "./lifecycle.ts";
import { instanceDirectory } from "./out/directory.ts";
import { lockInstances, standing } from "./out/instance-store.ts";

/**
 * End what is forced of one instance, interfaces first, where nobody is awaited any longer. Locks: instance, attachments, and silent hosts without waiting. Answers the
 * attachments that are off their hosts now. Safe to repeat, from any copy.
 */
export async function settleForcedInstance(call: WriteCall, operations: Operations, instanceId: string): Promise<string[]> {
  const row = (await lockInstances(call.tx, [instanceId])).get(instanceId);
  const off = await settleForced(call, instanceDirectory, instanceId);
  if (row?.forced !== true || row.host_id === null) return off;
  const silent = (await instanceDirectory.holdSilent(call.tx, [row.host_id])).has(row.host_id);
  const carried = (await standingOfInstances(call.tx, [instanceId])).get(instanceId)?.placed ?? 0;
  const next = silent ? settledInstance(standing(row), carried) : undefined;
  if (next !== undefined) await leaveHost(call, operations, row, next);
  return off;
}
