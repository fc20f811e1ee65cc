import { closeSync, openSync, readSync, writeSync } from "node:fs";
import koffi from "koffi";
import * as linux from "#lib/linux/index.ts";

/** A tap device, as a virtual machine has it: the test holds the machine's side. */

const TUNSETIFF = 0x400454ca;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const O_NONBLOCK = 0o4000;
const ioctl = koffi.load("libc.so.6").func("int ioctl(int fd, unsigned long request, void *argument)");

export class Tap {
  readonly ifindex: number;
  readonly #fd: number;

  /** Made inside the namespace at `path`; still down. */
  constructor(path: string, name: string) {
    this.#fd = linux.withNamespace(path, () => {
      const fd = openSync("/dev/net/tun", O_NONBLOCK | 2);
      const request = Buffer.alloc(40); // struct ifreq
      request.write(name);
      request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
      if ((ioctl(fd, TUNSETIFF, request) as number) < 0) throw new linux.KernelError(koffi.errno(), `make tap ${name}`);
      return fd;
    });
    this.ifindex = linux.withNetlink(path, (nl) => linux.getLink(nl, name))?.ifindex ?? 0;
  }

  /** The machine sends a frame. */
  send(frame: Buffer): void {
    writeSync(this.#fd, frame);
  }

  /** The first frame waiting for the machine that `wanted` accepts, if any; those before it are gone. */
  find(wanted: (frame: Buffer) => boolean): Buffer | undefined {
    const buffer = Buffer.alloc(65536);
    try {
      for (;;) {
        const frame = buffer.subarray(0, readSync(this.#fd, buffer));
        if (wanted(frame)) return frame;
      }
    } catch (error) {
      if (linux.hasCode(error, "EAGAIN")) return undefined;
      throw error;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
