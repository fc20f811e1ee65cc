/** The Ethernet header (D15: a VLAN tag is never expected). */
export interface Ethernet {
  readonly destination: string;
  readonly source: string;
  readonly type: number;
  readonly payload: Buffer;
}

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8];
const HEADER = 14;

export function readEthernet(frame: Buffer): Ethernet | "MALFORMED" | "VLAN_TAG" {
  if (frame.length < HEADER) return "MALFORMED";
  const type = frame.readUInt16BE(12);
  if (VLAN_TYPES.includes(type)) return "VLAN_TAG";
  return { destination: mac(frame, 0), source: mac(frame, 6), type, payload: frame.subarray(HEADER) };
}

/** "02:00:00:00:00:01" */
export function mac(bytes: Buffer, at: number): string {
  return [...bytes.subarray(at, at + 6)].map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** Broadcast counts: all of its bits are set, this one too. */
export function isGroupMac(address: string): boolean {
  return (parseInt(address.slice(0, 2), 16) & 1) === 1;
}
