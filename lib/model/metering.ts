import type { Direction, Endpoint } from "./configuration.ts";
import type { Ipv4 } from "./ipv4.ts";
import { transportHeaderLength } from "./transport.ts";

/** What one packet adds to one meter (D17). */
export interface MeterChange {
  readonly meterId: bigint;
  readonly direction: Direction;
  /** What would be on the wire at IP level. */
  readonly bytes: number;
  /** As the kernel counts: the frame's length here. */
  readonly rawBytes: number;
}

export interface Size {
  readonly bytes: number;
  readonly rawBytes: number;
}

/**
 * A super-packet is many packets on the wire, each with the headers again. `gsoSize` is the payload of one segment; 0: none to come.
 */
export function wireSize(ip: Ipv4, frameLength: number, gsoSize: number): Size {
  const headers = ip.headerLength + transportHeaderLength(ip);
  const segments = gsoSize === 0 ? 1 : Math.max(1, Math.ceil((ip.totalLength - headers) / gsoSize));
  return { bytes: ip.totalLength + (segments - 1) * headers, rawBytes: frameLength };
}

export function meterChange({ meterId }: Endpoint, direction: Direction, size: Size): MeterChange {
  return { meterId, direction, ...size };
}
