import { closeSync } from "node:fs";
import { KernelError } from "../errno.ts";
import * as libc from "../libc.ts";
import { withNamespace } from "../namespace.ts";
import * as codec from "./codec.ts";

const NETLINK_ROUTE = 0;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NLMSGERR_ATTR_MSG = 1;
/** The kernel writes at most 32 KiB in one datagram of a dump; anything longer is refused below rather than cut. */
const RECEIVE_BYTES = 128 * 1024;
const RECEIVE_SECONDS = 5n;
const DUMP_ATTEMPTS = 10;
/** One for all sockets of a thread: exchanges are synchronous, and what is read is copied out before the next. */
const received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

/**
 * A route-netlink socket. It speaks to the namespace it was opened in, for as long as it is open, wherever the thread goes.
 * Requests are synchronous: the kernel has done the work and queued its answer when `send` returns (tens of microseconds).
 */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #where: string;
  #sequence = 0;

  /** @param namespace path of the network namespace to speak to; the thread's own if absent */
  static open(namespace?: string): NetlinkSocket {
    return namespace === undefined ? new NetlinkSocket("") : withNamespace(namespace, () => new NetlinkSocket(` in ${namespace}`));
  }

  /** Opens in the namespace the thread is in now. @param where for the text of errors */
  private constructor(where: string) {
    this.#where = where;
    this.#fd = libc.socket(`open a netlink socket${where}`, libc.AF_NETLINK, libc.SOCK_RAW | libc.SOCK_CLOEXEC, NETLINK_ROUTE);
    const on = Buffer.from([1, 0, 0, 0]);
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(RECEIVE_SECONDS, 0);
    libc.setsockopt("set a netlink time limit", this.#fd, libc.SOL_SOCKET, libc.SO_RCVTIMEO, timeout, timeout.length);
    libc.setsockopt("ask for netlink error texts", this.#fd, libc.SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
    libc.setsockopt("ask for short netlink errors", this.#fd, libc.SOL_NETLINK, NETLINK_CAP_ACK, on, on.length);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** One change, acknowledged. @param asked in words, for the error @throws KernelError with the kernel's number and text */
  change(type: number, flags: number, body: Uint8Array, asked: string): void {
    this.#exchange(type, codec.NLM_F_ACK | flags, body, asked);
  }

  /** One object. @throws KernelError (ENODEV, ENOENT: no such) */
  get(type: number, body: Uint8Array, asked: string): codec.Message {
    const [answer] = this.#exchange(type, 0, body, asked);
    if (answer === undefined) throw new Error(`${asked}${this.#where}: the kernel acknowledged without an answer`);
    return answer;
  }

  /** All objects of a kind. A dump that a change tore apart is taken again. */
  dump(type: number, body: Uint8Array, asked: string): codec.Message[] {
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      const messages = this.#exchange(type, codec.NLM_F_DUMP, body, asked);
      if (!messages.some((m) => m.flags & codec.NLM_F_DUMP_INTR)) return messages;
    }
    throw new KernelError(11, `${asked}${this.#where}`, `changed under each of ${DUMP_ATTEMPTS} readings`);
  }

  #exchange(type: number, flags: number, body: Uint8Array, asked: string): codec.Message[] {
    const what = `${asked}${this.#where}`;
    const sequence = ++this.#sequence;
    const request = codec.message(type, codec.NLM_F_REQUEST | flags, sequence, body);
    libc.send(what, this.#fd, request, request.length, 0);
    const answers: codec.Message[] = [];
    for (;;) {
      const length = libc.recv(what, this.#fd, received, RECEIVE_BYTES, libc.MSG_TRUNC);
      if (length > RECEIVE_BYTES) throw new RangeError(`${what}: a netlink answer of ${length} bytes does not fit`);
      // A copy, because the answers outlive the next reading.
      for (const answer of codec.splitMessages(Buffer.from(received.subarray(0, length)))) {
        if (answer.sequence !== sequence) continue; // Left over from a request that failed half-way.
        if (answer.type === codec.NLMSG_ERROR || answer.type === codec.NLMSG_DONE) {
          throwIfRefused(answer, what);
          return answers;
        }
        answers.push(answer);
        if ((flags & (codec.NLM_F_DUMP | codec.NLM_F_ACK)) === 0) return answers;
      }
    }
  }
}

/** The first word of an acknowledgement (and of a dump's end) is 0 or a negated errno; text follows as attributes. */
function throwIfRefused(answer: codec.Message, what: string): void {
  const errno = answer.body.length < 4 ? 0 : -answer.body.readInt32LE(0);
  if (errno === 0) return;
  const hasText = answer.flags & codec.NLM_F_ACK_TLVS;
  const skip = answer.type === codec.NLMSG_DONE ? 4 : 4 + codec.HEADER_LENGTH;
  const detail = hasText ? new codec.Attributes(answer.body.subarray(skip)).text(NLMSGERR_ATTR_MSG) : undefined;
  throw new KernelError(errno, what, detail);
}

/** Opens a socket for the length of `fn`. @param namespace path, or undefined for the thread's own */
export function withNetlink<T>(namespace: string | undefined, fn: (nl: NetlinkSocket) => T): T {
  const nl = NetlinkSocket.open(namespace);
  try {
    return fn(nl);
  } finally {
    nl.close();
  }
}
