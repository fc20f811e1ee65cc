import { closeSync } from "node:fs";
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
/** `opts`: struct bpf_map_create_opts. */
export const mapCreate = bind<
  [type: number, name: string, keySize: number, valueSize: number, maxEntries: number, opts: Uint8Array | null],
  number
>("int bpf_map_create(int type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const void *opts)");
export const objPin = bind<[fd: number, path: string], number>("int bpf_obj_pin(int fd, const char *path)");
export const objGet = bind<[path: string], number>("int bpf_obj_get(const char *path)");
export const objInfo = bind<[fd: number, info: Uint8Array, length: Uint32Array], number>(
  "int bpf_obj_get_info_by_fd(int fd, void *info, void *length)",
);
export const btfFdById = bind<[id: number], number>("int bpf_btf_get_fd_by_id(uint32_t id)");
export const programFdById = bind<[id: number], number>("int bpf_prog_get_fd_by_id(uint32_t id)");
export const linkCreate = bind<[programFd: number, ifindex: number, attachType: number, opts: null], number>(
  "int bpf_link_create(int program, int target, int type, const void *opts)",
);
export const linkUpdate = bind<[linkFd: number, programFd: number, opts: null], number>(
  "int bpf_link_update(int link, int program, const void *opts)",
);
/** Ids of the programs that are attached; `count`: room in, number out. */
export const progQuery = bind<
  [ifindex: number, attachType: number, flags: number, attachFlags: null, ids: Uint32Array, count: Uint32Array],
  number
>("int bpf_prog_query(int target, int type, uint32_t flags, void *attach_flags, void *ids, void *count)");

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

const TEST_RUN_OPTS = koffi.struct("plenum_test_run_opts", {
  sz: "size_t",
  data_in: "void *",
  data_out: "void *",
  data_size_in: "uint32_t",
  data_size_out: "uint32_t",
  ctx_in: "void *",
  ctx_out: "void *",
  ctx_size_in: "uint32_t",
  ctx_size_out: "uint32_t",
  retval: "uint32_t",
  repeat: "int",
  duration: "uint32_t",
  flags: "uint32_t",
  cpu: "uint32_t",
  batch_size: "uint32_t",
});
const progTestRun = lib.func("int bpf_prog_test_run_opts(int program, _Inout_ plenum_test_run_opts *opts)");

/** Runs a program on `data` in place of a packet; `context`: a struct __sk_buff. `ns` a run; `result` negative: errno. */
export function testRun(
  programFd: number,
  data: Buffer,
  context: Buffer | null = null,
  repeat = 1,
): { result: number; returned: number; ns: number } {
  const opts = {
    ...{ sz: koffi.sizeof(TEST_RUN_OPTS), data_in: data, data_size_in: data.length, data_out: null, data_size_out: 0 },
    ...{ ctx_in: context, ctx_size_in: context?.length ?? 0, ctx_out: null, ctx_size_out: 0, retval: 0, repeat, duration: 0 },
    ...{ flags: 0, cpu: 0, batch_size: 0 },
  };
  const result = progTestRun(programFd, opts) as number;
  return { result, returned: opts.retval, ns: opts.duration };
}

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

/** Offset of the pointer to its own data, and of its size, in struct bpf_btf_info. */
const BTF_INFO = { size: 32, data: 0, dataSize: 8 };

/** Lends a descriptor of the BTF that the kernel holds under this id. @throws KernelError */
export function withKernelBtf<R>(id: number, use: (fd: number) => R): R {
  const fd = check(btfFdById(id), `open BTF ${id}`);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Its bytes. @throws KernelError */
export function readKernelBtf(id: number): Buffer {
  return withKernelBtf(id, (fd) => {
    const info = Buffer.alloc(BTF_INFO.size);
    const length = new Uint32Array([BTF_INFO.size]);
    check(objInfo(fd, info, length), `read the size of BTF ${id}`);
    const size = info.readUInt32LE(BTF_INFO.dataSize);
    const memory = koffi.alloc("char", size) as unknown as Handle;
    try {
      info.fill(0);
      info.writeBigUInt64LE(koffi.address(memory), BTF_INFO.data);
      info.writeUInt32LE(size, BTF_INFO.dataSize);
      check(objInfo(fd, info, length), `read BTF ${id}`);
      return Buffer.from(koffi.view(memory, size).slice(0));
    } finally {
      koffi.free(memory);
    }
  });
}
