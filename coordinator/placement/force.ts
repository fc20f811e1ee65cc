import type { WriteCall } from "../call/api.ts";
import { forceAllOf, leaseRuns } from "../interface/api.ts";
import { instanceDirectory } from "./out/directory.ts";
import { moveInstance, standing } from "./out/instance-store.ts";
import type { InstanceRow } from "./out/instance-store.ts";

/**
 * Let a locked instance that stops or ends leave its host by force, with its interfaces (C7). FAILED_PRECONDITION (WRONG_STATE) while the
 * host's lease runs. What is on no host needs no force.
 */
export async function forceInstance(call: WriteCall, row: InstanceRow): Promise<InstanceRow> {
  if (row.host_id === null) return row;
  const host = (await instanceDirectory.hosts(call.tx, [row.host_id])).get(row.host_id);
  if (host?.silent === false) throw leaseRuns(row.instance_id, host);
  await forceAllOf(call, instanceDirectory, row.instance_id);
  return moveInstance(call.tx, row, standing(row), { forced: true });
}
