import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import { awaitedForResidue, carriedOn, forgetResidue, instanceRef } from "../interface/api.ts";
import { allBlockers, NAMED_BLOCKERS, refusalOf } from "../network/api.ts";
import { hostRef } from "./core/refs.ts";
import { lockHost, removeHost } from "./out/bar-store.ts";
import { instanceDirectory } from "./out/directory.ts";
import { placedOn } from "./out/instance-store.ts";

/**
 * Forget a barred host on which nothing is. NOT_FOUND; FAILED_PRECONDITION (WRONG_STATE: not barred, or other hosts may still take packets
 * of what was forced off it; HAS_DEPENDANTS). Its row is locked first: nothing is placed there meanwhile. Answers the attachments of which
 * nobody's word is awaited any more.
 */
export async function deleteHost(call: WriteCall, hostId: string): Promise<string[]> {
  const host = await lockHost(call.tx, hostId);
  if (host === undefined) throw notFound("host", hostId);
  if (host.bar_time === null)
    throw failedPrecondition("WRONG_STATE", `${hostId} is not barred: bar it first, so that it cannot come back`, { state: "NOT_BARRED" });
  const { rows, count } = await placedOn(call.tx, hostId, NAMED_BLOCKERS);
  const instances = rows.map((row) => ({
    ...instanceRef({ instanceId: row.instance_id, ownerAccount: row.owner_account }),
    remedy: "stop or terminate it by force",
  }));
  const blockers = allBlockers([{ named: instances, more: count - instances.length }, await carriedOn(call.tx, hostId)]);
  const refusal = refusalOf(hostRef(hostId), blockers, call);
  if (refusal !== undefined) throw refusal;
  const behind = await awaitedForResidue(call.tx, instanceDirectory, hostId);
  if (behind.length > 0) {
    const [some, more] = [behind.slice(0, NAMED_BLOCKERS), behind.length - NAMED_BLOCKERS];
    const whom = `${some.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
    throw failedPrecondition(
      "WRONG_STATE",
      `${whom} may still take packets of what was forced off ${hostId}: repeat the call when they have applied their networks' versions`,
      { state: "MAPPINGS_HELD", hosts: some.join(",") },
    );
  }
  const confirmed = await forgetResidue(call, hostId);
  await removeHost(call.tx, hostId);
  return confirmed;
}
