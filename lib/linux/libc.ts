import koffi from "koffi";
import { KernelError } from "./errno.ts";

// glibc by its soname: present on every Debian without the -dev package. All calls are synchronous and on the calling thread,
// which is what namespaces need (a namespace belongs to a thread).
const libc = koffi.load("libc.so.6");

type Call<A extends unknown[]> = (...args: A) => number;

/** Returns the call's result, or throws what errno says. errno is read at once: anything run between could overwrite it. */
function checked<A extends unknown[]>(definition: string): (asked: string, ...args: A) => number {
  const raw = libc.func(definition) as unknown as Call<A>;
  return (asked, ...args) => {
    const result = raw(...args);
    if (result < 0) throw new KernelError(koffi.errno(), asked);
    return result;
  };
}

/** `asked` (first argument of each) goes into the error's text. All throw KernelError. */
export const setns = checked<[fd: number, nstype: number]>("int setns(int fd, int nstype)");
export const unshare = checked<[flags: number]>("int unshare(int flags)");
export const mount = checked<[source: string, target: string, type: string | null, flags: number, data: string | null]>(
  "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
);
export const umount2 = checked<[target: string, flags: number]>("int umount2(const char *target, int flags)");
export const socket = checked<[domain: number, type: number, protocol: number]>("int socket(int domain, int type, int protocol)");
export const setsockopt = checked<[fd: number, level: number, name: number, value: Uint8Array, length: number]>(
  "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
);
export const bind = checked<[fd: number, address: Uint8Array, length: number]>("int bind(int fd, const void *address, uint32_t length)");
export const send = checked<[fd: number, data: Uint8Array, length: number, flags: number]>(
  "long send(int fd, const void *data, size_t length, int flags)",
);
export const recv = checked<[fd: number, into: Uint8Array, length: number, flags: number]>(
  "long recv(int fd, void *into, size_t length, int flags)",
);
export const flock = checked<[fd: number, operation: number]>("int flock(int fd, int operation)");

export const CLONE_NEWNET = 0x40000000;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_SHARED = 1 << 20;
export const MNT_DETACH = 2;
export const LOCK_EX = 2;
/** EWOULDBLOCK instead of waiting. */
export const LOCK_NB = 4;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_RCVTIMEO = 20;
export const SOL_NETLINK = 270;
/** recv: return the datagram's real length even where the buffer was shorter. */
export const MSG_TRUNC = 0x20;
/** recv: EAGAIN instead of waiting. */
export const MSG_DONTWAIT = 0x40;
