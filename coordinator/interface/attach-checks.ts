import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { prefixOf } from "./core/items.ts";
import { conflict, invalid } from "./core/problems.ts";
import type { Problems } from "./core/problems.ts";
import type { AttachmentRow, InterfaceRow } from "./out/rows.ts";
import type { LockedInstance } from "./ports.ts";

/** Interfaces on one instance at most (guest devices eth0 to eth14). */
export const MAX_DEVICES = 15;

/** An attachment to make, and where it stands in the request ("spec", "specs[3]"). */
export interface WantedAttachment {
  readonly interfaceId: string;
  readonly instanceId: string;
  /** Undefined: the lowest free one. */
  readonly deviceIndex: number | undefined;
  readonly deleteOnTerminate: boolean;
  readonly path: string;
}

/** Which device each gets; what is asked for and taken is a problem. */
export function assignDevices(wanted: readonly WantedAttachment[], existing: readonly AttachmentRow[], problems: Problems): number[] {
  const taken = new Map<string, Set<number>>();
  const of = (instanceId: string): Set<number> => {
    const set = taken.get(instanceId) ?? new Set<number>();
    taken.set(instanceId, set);
    return set;
  };
  for (const row of existing) of(row.instance_id).add(row.device_index);
  for (const { instanceId, deviceIndex, path } of wanted) {
    if (deviceIndex === undefined) continue;
    const set = of(instanceId);
    if (set.has(deviceIndex))
      problems.add(
        invalid(`${path}.device_index`, `is ${deviceIndex}, which is taken on ${instanceId}: leave it out for the lowest free one`),
      );
    set.add(deviceIndex);
  }
  return wanted.map(({ instanceId, deviceIndex, path }) => {
    if (deviceIndex !== undefined) return deviceIndex;
    const set = of(instanceId);
    let index = 0;
    while (set.has(index)) index += 1;
    set.add(index);
    if (index >= MAX_DEVICES)
      problems.add(
        conflict("LIMIT_EXCEEDED", `${path}.instance_id`, `is ${instanceId}, which has ${MAX_DEVICES} interfaces, the most there can be`, {
          limit: String(MAX_DEVICES),
        }),
      );
    return index;
  });
}

/** Two of one batch cannot hold one address; the later one is at fault. */
function claimAddresses(row: InterfaceRow | undefined, path: string, claimed: Map<string, string>, problems: Problems): void {
  for (const address of row?.addresses ?? []) {
    const key = `${row?.network_id ?? 0n} ${prefixOf(address)}`;
    const holder = claimed.get(key);
    if (holder === undefined) {
      claimed.set(key, path);
      continue;
    }
    const text = prefixOf(address).split("/")[0] ?? "";
    problems.add(
      conflict("ADDRESS_IN_USE", `${path}.interface_id`, `has ${text}, as ${holder}.interface_id has: one of them can be attached`, {
        address: text,
      }),
    );
  }
}

/** What stands in the way whatever the others do: attached already, switched off, an instance that ends, a zone that does not fit. */
export function checkStates(
  wanted: readonly WantedAttachment[],
  rows: ReadonlyMap<string, InterfaceRow>,
  instances: ReadonlyMap<string, LockedInstance>,
  existing: readonly AttachmentRow[],
  problems: Problems,
): void {
  const holders = new Map(existing.map((row) => [row.interface_id, row]));
  const seen = new Set<string>();
  const claimed = new Map<string, string>();
  for (const { interfaceId, instanceId, path } of wanted) {
    const holder = holders.get(interfaceId);
    if (holder !== undefined) {
      const what =
        holder.state === AttachmentState.DETACHING
          ? `is still being detached (${holder.attachment_id}): wait until that is over`
          : `is attached already (${holder.attachment_id}): detach it first`;
      problems.add(
        conflict("ALREADY_ATTACHED", `${path}.interface_id`, `is ${interfaceId}, which ${what}`, { attachment_id: holder.attachment_id }),
      );
    } else if (seen.has(interfaceId))
      problems.add(invalid(`${path}.interface_id`, `names ${interfaceId} a second time: an interface has one attachment`));
    else claimAddresses(rows.get(interfaceId), path, claimed, problems);
    if (rows.get(interfaceId)?.disabled === true)
      problems.add(
        conflict("WRONG_STATE", `${path}.interface_id`, `is ${interfaceId}, which is disabled: enable it first (UpdateInterface)`, {
          state: "DISABLED",
        }),
      );
    seen.add(interfaceId);
    const instance = instances.get(instanceId);
    if (instance === undefined) continue;
    if (!instance.attachable)
      problems.add(
        conflict("WRONG_STATE", `${path}.instance_id`, `is ${instanceId}, which is ${instance.state}: attach to another instance`, {
          state: instance.state,
        }),
      );
    const zone = rows.get(interfaceId)?.zone_id ?? "";
    const own = instance.host?.zoneId ?? instance.zoneId;
    if (zone !== "" && own !== "" && zone !== own) {
      problems.add(
        conflict(
          "WRONG_STATE",
          `${path}.instance_id`,
          `is in zone ${own}, the interface's subnet is for zone ${zone}: use an interface of another subnet`,
          { state: own },
        ),
      );
    }
  }
}
