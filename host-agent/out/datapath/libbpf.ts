import koffi from "koffi";
import { KernelError } from "#lib/linux/index.ts";

// By soname: Debian's libbpf1 (1.1 on the floor), no -dev package needed to run. Its 1.x calls return -errno, or a pointer that is
// null with errno set. Everything here is synchronous.
const lib = koffi.load("libbpf.so.1");
const libc = koffi.load("libc.so.6");

/** An opaque pointer of libbpf's. */
export type Handle = { readonly __libbpf: unique symbol };

type Call<A extends unknown[], R> = (...args: A) => R;

function bind<A extends unknown[], R>(definition: string): Call<A, R> {
  return lib.func(definition) as unknown as Call<A, R>;
}

/** Raw results: negative errno on failure. */
export const mapUpdate = bind<[fd: number, key: Uint8Array, value: Uint8Array, flags: bigint], number>(
  "int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)",
);
export const mapLookup = bind<[fd: number, key: Uint8Array, value: Uint8Array], number>(
  "int bpf_map_lookup_elem(int fd, const void *key, void *value)",
);
export const mapDelete = bind<[fd: number, key: Uint8Array], number>("int bpf_map_delete_elem(int fd, const void *key)");
export const mapUpdateBatch = bind<[fd: number, keys: Uint8Array, values: Uint8Array, count: Uint32Array, opts: null], number>(
  "int bpf_map_update_batch(int fd, const void *keys, const void *values, void *count, void *opts)",
);
export const mapDeleteBatch = bind<[fd: number, keys: Uint8Array, count: Uint32Array, opts: null], number>(
  "int bpf_map_delete_batch(int fd, const void *keys, void *count, void *opts)",
);
export const mapLookupBatch = bind<
  [fd: number, from: Uint8Array | null, next: Uint8Array, keys: Uint8Array, values: Uint8Array, count: Uint32Array, opts: null],
  number
>("int bpf_map_lookup_batch(int fd, const void *from, void *next, void *keys, void *values, void *count, void *opts)");
export const objPin = bind<[fd: number, path: string], number>("int bpf_obj_pin(int fd, const char *path)");
export const objGet = bind<[path: string], number>("int bpf_obj_get(const char *path)");
export const objInfo = bind<[fd: number, info: Uint8Array, length: Uint32Array], number>(
  "int bpf_obj_get_info_by_fd(int fd, void *info, void *length)",
);
export const linkCreate = bind<[programFd: number, ifindex: number, attachType: number, opts: null], number>(
  "int bpf_link_create(int program, int target, int type, const void *opts)",
);
export const linkUpdate = bind<[linkFd: number, programFd: number, opts: null], number>(
  "int bpf_link_update(int link, int program, const void *opts)",
);

export const tcHookCreate = bind<[hook: Uint8Array], number>("int bpf_tc_hook_create(void *hook)");
export const tcAttach = bind<[hook: Uint8Array, opts: Uint8Array], number>("int bpf_tc_attach(const void *hook, void *opts)");

export const objectOpen = bind<[path: string, opts: null], Handle | null>(
  "void *bpf_object__open_file(const char *path, const void *opts)",
);
export const objectLoad = bind<[object: Handle], number>("int bpf_object__load(void *object)");
export const objectClose = bind<[object: Handle], void>("void bpf_object__close(void *object)");
export const findMap = bind<[object: Handle, name: string], Handle | null>(
  "void *bpf_object__find_map_by_name(const void *object, const char *name)",
);
export const findProgram = bind<[object: Handle, name: string], Handle | null>(
  "void *bpf_object__find_program_by_name(const void *object, const char *name)",
);
export const mapFd = bind<[map: Handle], number>("int bpf_map__fd(const void *map)");
export const mapReuseFd = bind<[map: Handle, fd: number], number>("int bpf_map__reuse_fd(void *map, int fd)");
export const programFd = bind<[program: Handle], number>("int bpf_program__fd(const void *program)");
export const setProgramLog = bind<[program: Handle, log: Handle, size: number], number>(
  "int bpf_program__set_log_buf(void *program, void *log, size_t size)",
);
/** Of all processors that may ever be there, as per-CPU values are laid out. */
export const possibleCpus = bind<[], number>("int libbpf_num_possible_cpus()");

// libbpf prints to stderr by itself; errors travel in exceptions here.
bind<[print: null], unknown>("void *libbpf_set_print(void *print)")(null);

const duplicate = libc.func("int fcntl(int fd, int command, int argument)") as unknown as Call<[number, number, number], number>;
const F_DUPFD_CLOEXEC = 1030;

/** A second descriptor for the same thing, closed on exec. */
export function duplicateFd(fd: number): number {
  const copy = duplicate(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw new KernelError(koffi.errno(), "duplicate a descriptor");
  return copy;
}

/** The result, or an exception for a negative one. */
export function check(result: number, asked: string): number {
  if (result < 0) throw new KernelError(-result, asked);
  return result;
}

/** The pointer, or an exception for a null one (errno says why). */
export function checkHandle(handle: Handle | null, asked: string): Handle {
  if (handle === null) throw new KernelError(koffi.errno(), asked);
  return handle;
}

/** Memory that does not move while libbpf keeps its address; `free` it afterwards. */
export function allocateLog(size: number): { handle: Handle; text: () => string; free: () => void } {
  const handle = koffi.alloc("char", size) as unknown as Handle;
  return {
    handle,
    text: () => {
      const bytes = Buffer.from(koffi.view(handle, size));
      const end = bytes.indexOf(0);
      return bytes.toString("utf8", 0, end < 0 ? size : end);
    },
    free: () => koffi.free(handle),
  };
}
