/** The Ethernet header. */
export interface Ethernet {
  readonly destination: string;
  readonly source: string;
  readonly type: number;
  readonly payload: Buffer;
}

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const HEADER = 14;

export function readEthernet(frame: Buffer): Ethernet | undefined {
  if (frame.length < HEADER) return undefined;
  const type = frame.readUInt16BE(12);
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
