import type { Kysely } from "kysely";
import type { Calls } from "../../call/api.ts";
import { forgetIdle, markIdle, vpcsWithIdle } from "../out/forget-sets.ts";
import type { PeersChangedHook } from "../out/hooks.ts";

/**
 * Forget sets of groups that no record and no attachment has had for an hour, a few a transaction, each of which tells the hosts (`tell`). Any
 * number of copies may do it, and any of them may end in the middle.
 */
export async function forgetGroupSets(
  calls: Pick<Calls, "internal">,
  db: Kysely<unknown>,
  tell: PeersChangedHook,
  signal?: AbortSignal,
): Promise<void> {
  await markIdle(db, signal);
  for (const vpcId of await vpcsWithIdle(db)) {
    for (let more = true; more;) {
      signal?.throwIfAborted();
      const { result } = await calls.internal(async (call) => {
        const forgotten = await forgetIdle(call.tx, vpcId);
        if (forgotten.peers.length > 0) await tell(call, forgotten.peers);
        return forgotten.more;
      });
      more = result;
    }
  }
}
