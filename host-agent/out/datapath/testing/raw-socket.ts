import { closeSync } from "node:fs";
import koffi from "koffi";
import { hasCode, KernelError, withNamespace, withNetlink, getLink } from "#lib/linux/index.ts";
import * as libc from "#lib/linux/libc.ts";
import { addressBytes } from "#lib/linux/netlink/address-bytes.ts";

/** Sockets that send and see raw packets inside a namespace, for tests. */

const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;

const clib = koffi.load("libc.so.6");
const bindSocket = clib.func("int bind(int fd, const void *address, uint32_t length)");
const sendTo = clib.func("long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t size)");

function checked(result: number, asked: string): number {
  if (result < 0) throw new KernelError(koffi.errno(), asked);
  return result;
}

/** struct sockaddr_ll. */
function linkAddress(ifindex: number, protocol: number): Buffer {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(protocol, 2);
  address.writeInt32LE(ifindex, 4);
  return address;
}

function deviceIndex(device: string): number {
  const link = withNetlink(undefined, (nl) => getLink(nl, device));
  if (link === undefined) throw new Error(`no device ${device}`);
  return link.ifindex;
}

export interface SendOptions {
  /** struct virtio_net_hdr (10 bytes) to send with it: lets a test ask for offloads as a guest may. */
  virtioHeader?: Buffer;
}

/** Sends one frame as it is out of a device of the namespace at `path`. */
export function sendFrame(path: string, device: string, frame: Buffer, options: SendOptions = {}): void {
  withNamespace(path, () => {
    const fd = libc.socket("open a packet socket", AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0);
    try {
      const data = options.virtioHeader === undefined ? frame : Buffer.concat([options.virtioHeader, frame]);
      if (options.virtioHeader !== undefined) {
        const on = Buffer.from([1, 0, 0, 0]);
        libc.setsockopt("ask for offload headers", fd, SOL_PACKET, PACKET_VNET_HDR, on, on.length);
      }
      const address = linkAddress(deviceIndex(device), frame.readUInt16BE(12));
      checked(sendTo(fd, data, data.length, 0, address, address.length) as number, `send a frame from ${device}`);
    } finally {
      closeSync(fd);
    }
  });
}

/** Sends one UDP datagram from the namespace at `path`. */
export function sendDatagram(path: string, to: string, port: number, payload: Buffer): void {
  withNamespace(path, () => {
    const fd = libc.socket("open a socket", libc.AF_INET, SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
    try {
      const address = Buffer.alloc(16);
      address.writeUInt16LE(libc.AF_INET, 0);
      address.writeUInt16BE(port, 2);
      address.set(addressBytes(to).bytes, 4);
      checked(sendTo(fd, payload, payload.length, 0, address, address.length) as number, `send to ${to}`);
    } finally {
      closeSync(fd);
    }
  });
}

/** Sees every frame that enters or leaves a device, from now on. */
export class Capture {
  readonly #fd: number;

  constructor(path: string, device: string) {
    this.#fd = withNamespace(path, () => {
      const fd = libc.socket("open a packet socket", AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0);
      const address = linkAddress(deviceIndex(device), ETH_P_ALL);
      checked(bindSocket(fd, address, address.length) as number, `listen on ${device}`);
      return fd;
    });
  }

  /** The first frame that `wanted` accepts; undefined if none comes within `waitMs` (blocks the thread). */
  find(wanted: (frame: Buffer) => boolean, waitMs = 1000): Buffer | undefined {
    const deadline = performance.now() + waitMs;
    const buffer = Buffer.alloc(65536);
    for (let left = waitMs; left > 0; left = deadline - performance.now()) {
      const timeout = Buffer.alloc(16);
      timeout.writeBigInt64LE(BigInt(Math.ceil(left * 1000)) / 1_000_000n, 0);
      timeout.writeBigInt64LE(BigInt(Math.ceil(left * 1000)) % 1_000_000n, 8);
      libc.setsockopt("set a time limit", this.#fd, libc.SOL_SOCKET, libc.SO_RCVTIMEO, timeout, timeout.length);
      try {
        const frame = buffer.subarray(0, libc.recv("capture", this.#fd, buffer, buffer.length, 0));
        if (wanted(frame)) return Buffer.from(frame);
      } catch (error) {
        if (hasCode(error, "EAGAIN", "EWOULDBLOCK")) return undefined;
        throw error;
      }
    }
    return undefined;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
