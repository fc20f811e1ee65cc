/** The virtual router's MAC, the same in every subnet: guests see it in ARP answers only, it never crosses a wire. */
export const GATEWAY_MAC = "02:00:5e:00:01:01";

/** Second octet of guests' MACs; differs from the router's, so that no wire id can meet it. */
const GUEST_OCTET = "70";

/**
 * MAC of a guest's device: locally administered, 02:70 and the attachment's 32-bit wire id. Wire ids are never reused (D2), so
 * neither are these.
 */
export function macOfWireId(wireId: number): string {
  if (!Number.isInteger(wireId) || wireId < 1 || wireId > 0xffff_ffff)
    throw new RangeError(`wire id ${wireId} is not a 32-bit number above 0`);
  const octets = wireId
    .toString(16)
    .padStart(8, "0")
    .replace(/..(?=.)/g, "$&:");
  return `02:${GUEST_OCTET}:${octets}`;
}
