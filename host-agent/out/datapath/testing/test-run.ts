import { closeSync, readdirSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { withNamespace } from "#lib/linux/index.ts";
import { SCHEMA } from "../index.ts";
import { check, objGet } from "../libbpf.ts";
import type { ProgramName } from "../load.ts";
import type { LabHost } from "./lab.ts";

/** BPF_PROG_TEST_RUN (D23): a program run on a packet that no device carries. */

const lib = koffi.load("libbpf.so.1");
koffi.struct("plenum_test_run_opts", {
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
const run = lib.func("int bpf_prog_test_run_opts(int program, _Inout_ plenum_test_run_opts *opts)");

/** Offsets in struct __sk_buff that the kernel lets a test set. */
const IFINDEX = 40;
const GSO_SIZE = 176;
const SKB_SIZE = 192;

export interface TestRun {
  /** Path of the namespace in which `ifindex` is looked up. */
  path: string;
  ifindex?: number;
  gsoSize?: number;
  repeat?: number;
}

/** What the program returned (TC_ACT_*), and nanoseconds a run. */
export function testRun(
  programFd: number,
  frame: Buffer,
  { path, ifindex, gsoSize, repeat = 1 }: TestRun,
): { verdict: number; ns: number } {
  const context = Buffer.alloc(SKB_SIZE);
  if (ifindex !== undefined) context.writeUInt32LE(ifindex, IFINDEX);
  if (gsoSize !== undefined) context.writeUInt32LE(gsoSize, GSO_SIZE);
  const opts = {
    ...{ sz: koffi.sizeof("plenum_test_run_opts"), data_in: frame, data_size_in: frame.length, data_out: null, data_size_out: 0 },
    ...{ ctx_in: context, ctx_size_in: SKB_SIZE, ctx_out: null, ctx_size_out: 0, retval: 0, repeat, duration: 0 },
    ...{ flags: 0, cpu: 0, batch_size: 0 },
  };
  withNamespace(path, () => check(run(programFd, opts) as number, "run a program on a test packet"));
  return { verdict: opts.retval, ns: opts.duration };
}

export const TC_ACT_OK = 0;
export const TC_ACT_SHOT = 2;
export const TC_ACT_REDIRECT = 7;

/** Runs a program that a host has pinned, with its maps; what it would redirect goes nowhere. */
export function runPinned(host: LabHost, program: ProgramName, frame: Buffer, how: TestRun): ReturnType<typeof testRun> {
  const programs = join(host.options.bpffsDir, SCHEMA, "programs");
  const [object = ""] = readdirSync(programs);
  const fd = check(objGet(join(programs, object, program)), `open the pinned ${program}`);
  try {
    return testRun(fd, frame, how);
  } finally {
    closeSync(fd);
  }
}
