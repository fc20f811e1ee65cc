import { bitsOf, formatAddress, parseAddress } from "./address.ts";
import type { Address } from "./address.ts";

/** A prefix whose host bits are zero. */
export interface Cidr {
  readonly family: 4 | 6;
  /** The network's address: the first of the block. */
  readonly base: bigint;
  /** 0 to 32, or to 128. */
  readonly prefix: number;
}

/** How many addresses a block has. */
export const sizeOf = ({ family, prefix }: Cidr): bigint => 1n << BigInt(bitsOf(family) - prefix);

/** The last address of a block. */
export const lastOf = (cidr: Cidr): bigint => cidr.base + sizeOf(cidr) - 1n;

/** Why a text is no CIDR block: "syntax", or "host-bits" when `network` is the block that was meant. */
export type CidrFault = { readonly kind: "syntax" } | { readonly kind: "host-bits"; readonly network: string };

/** Parse "10.0.0.0/16". Host bits must be zero: 10.0.0.1/16 is a mistake more often than a wish. */
export function parseCidr(text: string): Cidr | CidrFault {
  const [addressText, prefixText, ...rest] = text.split("/");
  const address = parseAddress(addressText ?? "");
  if (address === undefined || rest.length > 0 || prefixText === undefined || !/^(0|[1-9]\d{0,2})$/.test(prefixText))
    return { kind: "syntax" };
  const prefix = Number(prefixText);
  if (prefix > bitsOf(address.family)) return { kind: "syntax" };
  const network = blockOf(address, prefix);
  return network.base === address.value ? network : { kind: "host-bits", network: formatCidr(network) };
}

export function isCidr(parsed: Cidr | CidrFault): parsed is Cidr {
  return "base" in parsed;
}

/** Parse what is known to be right (a constant, a row of ours); throws RangeError on anything else. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!isCidr(parsed)) throw new RangeError(`${JSON.stringify(text)} is not a CIDR block`);
  return parsed;
}

/** The block of that size around an address. */
export function blockOf({ family, value }: Address, prefix: number): Cidr {
  const hostBits = BigInt(bitsOf(family) - prefix);
  return { family, base: (value >> hostBits) << hostBits, prefix };
}

export function formatCidr({ family, base, prefix }: Cidr): string {
  return `${formatAddress({ family, value: base })}/${prefix}`;
}

export function containsAddress(outer: Cidr, { family, value }: Address): boolean {
  return outer.family === family && value >= outer.base && value <= lastOf(outer);
}

/** Whether all of `inner` is in `outer` (equal blocks contain each other). */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.family === inner.family && outer.prefix <= inner.prefix && containsAddress(outer, { family: inner.family, value: inner.base })
  );
}

/** Blocks are nested or apart: they overlap when one holds the other. */
export function overlaps(one: Cidr, other: Cidr): boolean {
  return containsCidr(one, other) || containsCidr(other, one);
}

/** Address number `index` of a block, from 0. Throws RangeError outside of it. */
export function nthAddress(block: Cidr, index: bigint): Address {
  if (index < 0n || index >= sizeOf(block)) throw new RangeError(`${formatCidr(block)} has no address number ${index}`);
  return { family: block.family, value: block.base + index };
}

/** Addresses that a network keeps at the start of each subnet (plenum.network.v1.Subnet): its own, the router's, the resolver's. */
export const RESERVED_AT_START = 3n;

/** Whether a subnet keeps this address for itself: the first three, and in IPv4 the last (broadcast). */
export function isReserved(subnet: Cidr, { value }: Address): boolean {
  return value < subnet.base + RESERVED_AT_START || (subnet.family === 4 && value === lastOf(subnet));
}

/** The subnet's router. */
export const routerOf = (subnet: Cidr): Address => nthAddress(subnet, 1n);

/** First and last address that an interface may have; undefined when the subnet is too small to have one. */
export function assignableRange(subnet: Cidr): { readonly first: bigint; readonly last: bigint } | undefined {
  const first = subnet.base + RESERVED_AT_START;
  const last = lastOf(subnet) - (subnet.family === 4 ? 1n : 0n);
  return first <= last ? { first, last } : undefined;
}
