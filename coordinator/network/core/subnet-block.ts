import { assignableRange, cidr, containsCidr, formatCidr, overlaps } from "#lib/net/cidr.ts";
import type { Cidr } from "#lib/net/cidr.ts";

/** A VPC's block: /8 to /28. */
export const VPC_PREFIX = { family: 4, minPrefix: 8, maxPrefix: 28 } as const;
/** A subnet's block: /28 at most, so that it has addresses to give. */
export const SUBNET_PREFIX = { family: 4, maxPrefix: 28 } as const;

/** What an instance's kernel gives no interface, or routes nowhere (RFC 6890, RFC 5771): an instance there would never start. */
const RESERVED = [
  ["0.0.0.0/8", '"this network"'],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved for the future"],
] as const;

/** What is wrong with a VPC's block, for people; undefined: nothing. */
export function vpcBlockFault(block: Cidr): string | undefined {
  const met = RESERVED.find(([reserved]) => overlaps(cidr(reserved), block));
  return met && `is ${formatCidr(block)}, which meets ${met[0]} (${met[1]})`;
}

/** What is wrong with a subnet's block in this VPC, for people; undefined: nothing. */
export function blockFault(vpcBlock: string, subnetBlock: Cidr): string | undefined {
  return containsCidr(cidr(vpcBlock), subnetBlock) ? undefined : `is ${formatCidr(subnetBlock)}, which is not inside the VPC's ${vpcBlock}`;
}

/** How many addresses interfaces may have, the network's own left out. */
export function usableAddressCount(subnetBlock: string): bigint {
  const range = assignableRange(cidr(subnetBlock));
  return range === undefined ? 0n : range.last - range.first + 1n;
}

/** How many of them are left when `named` different ones are named by records. */
export function availableAddressCount(subnetBlock: string, named: bigint): bigint {
  const left = usableAddressCount(subnetBlock) - named;
  return left > 0n ? left : 0n;
}
