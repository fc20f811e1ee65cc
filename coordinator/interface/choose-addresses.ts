import { Status } from "nice-grpc-common";
import { formatAddress } from "#lib/net/address.ts";
import type { Address } from "#lib/net/address.ts";
import { assignableRange, cidr } from "#lib/net/cidr.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import type { Subnet } from "../network/api.ts";
import type { Problems } from "./core/problems.ts";
import { checkFits } from "./in/spec.ts";
import { pickAddresses } from "./out/address-store.ts";

/** Addresses for one record. */
export interface WantedAddresses {
  /** None: one is picked. */
  readonly addresses: readonly Address[];
  /** Locked. */
  readonly subnet: Subnet;
  /** Where it stands in the request ("spec", "specs[3]"). */
  readonly path: string;
}

/** Whether the subnet may give these addresses to an interface; `field` is the list's. */
export function checkAllFit(addresses: readonly Address[], subnet: Subnet, field: string, problems: Problems): void {
  const block = cidr(subnet.cidrBlock);
  const { subnetId, cidrBlock } = subnet;
  addresses.forEach((address, index) =>
    problems.check(() => checkFits(address, block, { field: `${field}[${index}]`, subnetId, cidrBlock })),
  );
}

/** The addresses of each, as numbers, in their order. RESOURCE_EXHAUSTED (SUBNET_EXHAUSTED). */
export async function chooseAddresses<Wanted extends WantedAddresses>(
  call: WriteCall,
  specs: readonly Wanted[],
): Promise<Map<Wanted, readonly bigint[]>> {
  const chosen = new Map<Wanted, readonly bigint[]>();
  for (const [subnet, of] of Map.groupBy(specs, (spec) => spec.subnet)) {
    const explicit = of.filter((spec) => spec.addresses.length > 0);
    for (const spec of explicit)
      chosen.set(
        spec,
        spec.addresses.map((address) => address.value),
      );
    const open = of.filter((spec) => spec.addresses.length === 0);
    if (open.length === 0) continue;
    const range = assignableRange(cidr(subnet.cidrBlock));
    const reserved = new Set(explicit.flatMap((spec) => chosen.get(spec) ?? []));
    const picked = range === undefined ? [] : await pickAddresses(call.tx, subnet, range, open.length, reserved);
    const first = open[picked.length];
    if (first !== undefined) throw exhausted(subnet, first.path, open.length, picked.length);
    open.forEach((spec, index) => chosen.set(spec, picked.slice(index, index + 1)));
  }
  return chosen;
}

/** Addresses as records keep them: with the subnet's prefix length. */
export function textsOf(addresses: readonly bigint[], subnet: Subnet): string[] {
  const { family, prefix } = cidr(subnet.cidrBlock);
  return addresses.map((value) => `${formatAddress({ family, value })}/${prefix}`);
}

function exhausted(subnet: Subnet, path: string, wanted: number, free: number): PlenumError {
  return new PlenumError({
    code: Status.RESOURCE_EXHAUSTED,
    reason: "SUBNET_EXHAUSTED",
    message: `${subnet.subnetId} (${subnet.cidrBlock}) has ${free} free addresses, ${wanted} are wanted: delete interfaces or use another subnet`,
    facts: { subnet: subnet.subnetId, field: path, free: String(free), wanted: String(wanted) },
    violations: [{ field: path, description: `finds no free address in ${subnet.subnetId}` }],
  });
}
