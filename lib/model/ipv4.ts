/** An IPv4 header and what it says about the packet. */
export interface Ipv4 {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes; above 0: a later fragment, without the header of what it carries. */
  readonly fragmentOffset: number;
  readonly headerLength: number;
  /** By its own word; what follows in the frame is padding. */
  readonly totalLength: number;
  /** What comes after the header, without padding. */
  readonly payload: Buffer;
}

const SMALLEST_HEADER = 20;

/**
 * Undefined: the header is missing, shorter than it says, or promises more than there is. A super-packet may be longer than its header
 * can say, so that it counts as long as it is.
 */
export function readIpv4(bytes: Buffer, isSuperPacket: boolean): Ipv4 | undefined {
  const header = readHeader(bytes);
  if (header === undefined) return undefined;
  const totalLength = isSuperPacket ? bytes.length : header.totalLength;
  if (totalLength < header.headerLength || totalLength > bytes.length) return undefined;
  return { ...header, totalLength, payload: bytes.subarray(header.headerLength, totalLength) };
}

/** The same, of a packet that was cut short, as ICMP errors quote them: its length says nothing. */
export function readQuotedIpv4(bytes: Buffer): Ipv4 | undefined {
  return readHeader(bytes);
}

function readHeader(bytes: Buffer): Ipv4 | undefined {
  if (bytes.length < SMALLEST_HEADER || bytes.readUInt8(0) >> 4 !== 4) return undefined;
  const headerLength = (bytes.readUInt8(0) & 0xf) * 4;
  const totalLength = bytes.readUInt16BE(2);
  if (headerLength < SMALLEST_HEADER || headerLength > bytes.length) return undefined;
  const fragment = bytes.readUInt16BE(6);
  return {
    source: ipv4Text(bytes, 12),
    destination: ipv4Text(bytes, 16),
    protocol: bytes.readUInt8(9),
    identification: bytes.readUInt16BE(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    headerLength,
    totalLength,
    payload: bytes.subarray(headerLength),
  };
}

export function ipv4Text(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join(".");
}

/** 224.0.0.0/4 and the broadcast address. */
export function isMulticast(address: string): boolean {
  const first = Number(address.split(".")[0]);
  return (first >= 224 && first < 240) || address === "255.255.255.255";
}
