import { closeSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { withNamespace } from "#lib/linux/index.ts";
import { SCHEMA } from "../index.ts";
import * as libbpf from "../libbpf.ts";
import type { ProgramName } from "../load.ts";
import type { LabHost } from "./lab.ts";

/** BPF_PROG_TEST_RUN (D23): a program run on a packet that no device carries. */

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
  const { result, returned, ns } = withNamespace(path, () => libbpf.testRun(programFd, frame, context, repeat));
  libbpf.check(result, "run a program on a test packet");
  return { verdict: returned, ns };
}

export const TC_ACT_OK = 0;
export const TC_ACT_SHOT = 2;
export const TC_ACT_REDIRECT = 7;

/** Runs a program that a host has pinned, with its maps; what it would redirect goes nowhere. */
export function runPinned(host: LabHost, program: ProgramName, frame: Buffer, how: TestRun): ReturnType<typeof testRun> {
  const programs = join(host.options.bpffsDir, SCHEMA, "programs");
  const [object = ""] = readdirSync(programs);
  const fd = libbpf.check(libbpf.objGet(join(programs, object, program)), `open the pinned ${program}`);
  try {
    return testRun(fd, frame, how);
  } finally {
    closeSync(fd);
  }
}
