import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { NAMED_BLOCKERS } from "../../network/api.ts";
import type { Blockers, BlockedKind, NetworkModule } from "../../network/api.ts";
import type { Tx } from "../../call/api.ts";
import type { InstanceDirectory, Reader } from "../ports.ts";
import { interfaceRef } from "../create.ts";
import { reconfigureLocked } from "../move.ts";
import { namedAddressCounts } from "../out/address-store.ts";
import { lockAttachments } from "../out/attachment-store.ts";
import { carriedBy, enforcementOf } from "../out/enforcement-store.ts";
import { tellPeers } from "../out/changes.ts";
import { lookAt } from "../out/look.ts";
import { interfacesOf } from "../out/interface-store.ts";
import type { Signals } from "../out/signals.ts";
import { waitForHosts } from "../wait.ts";

/** What becomes of a record that stands in the way. */
const REMEDIES: Readonly<Record<BlockedKind, string>> = {
  vpc: "detach and delete that interface",
  subnet: "detach and delete that interface",
  security_group: "give that interface other groups, or delete it",
};

interface Waits {
  readonly db: Reader;
  readonly directory: InstanceDirectory;
  readonly signals: Signals;
}

/** What the network module must learn from this one, which it cannot import. */
export function registerAtNetwork(network: NetworkModule, { db, directory, signals }: Waits): void {
  const blockersOf =
    (kind: BlockedKind) =>
    async (tx: Tx, id: string): Promise<Blockers> => {
      const { rows, count } = await interfacesOf(tx, { kind, id }, NAMED_BLOCKERS);
      const named = rows.map((row) => ({ ...interfaceRef(row), remedy: REMEDIES[kind] }));
      return { named, more: count - named.length };
    };
  for (const kind of ["vpc", "subnet", "security_group"] as const) network.registerBlockers(kind, blockersOf(kind));
  network.countNamedAddresses(namedAddressCounts);
  network.enforceBy({
    of: enforcementOf,
    async wait(groupSetIds, timeoutMs, signal) {
      const attachmentIds = await carriedBy(db, groupSetIds);
      const goal = { goal: "enforced", wait: WaitFor.PROGRAMMED } as const;
      const look = (ids: readonly string[]) => lookAt(db, directory, ids);
      await waitForHosts(db, signals, { ...goal, attachmentIds, networkIds: [], timeoutMs, versions: new Map(), look }, signal);
    },
  });
  network.onPeersChanged(tellPeers);
  network.onRulesetsChanged(async (call, changes) => {
    const rulesets = new Map(changes.map((change) => [BigInt(change.groupSetId), BigInt(change.rulesetId)]));
    const rows = await lockAttachments(call.tx, { groupSetIds: changes.map((change) => change.groupSetId) });
    const hosts = await directory.hosts(
      call.tx,
      rows.flatMap((row) => row.host_id ?? []),
    );
    await reconfigureLocked(call, rows, (row) => ({ ruleset_id: rulesets.get(row.group_set_id) ?? row.ruleset_id }), hosts);
  });
}
