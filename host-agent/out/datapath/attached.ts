import { closeSync } from "node:fs";
import { constants } from "node:os";
import { getIngressProgram, withNetlink } from "#lib/linux/index.ts";
import * as libbpf from "./libbpf.ts";

export const BPF_TCX_INGRESS = 46;
const { ENODEV, EINVAL, ENOENT } = constants.errno;
/** Programs of one device that are read; ours is the first of them unless somebody puts others before it. */
const MAX_PROGRAMS = 16;
/** Where our filters are, always: so that "replace" swaps one at once. */
export const PLACE = { handle: 1, priority: 1 };

/** Of these devices of the calling thread's namespace, those whose clsact filter is not ours or does not run this program. */
export function missingFilters(ifindexes: readonly number[], programFd: number): number[] {
  const id = describeProgram(programFd).id;
  return withNetlink(undefined, (nl) => ifindexes.filter((ifindex) => getIngressProgram(nl, ifindex, PLACE) !== id));
}

/** Of these devices of the calling thread's namespace, those with no TCX link to this program. */
export function missingLinks(ifindexes: readonly number[], programFd: number): number[] {
  const id = describeProgram(programFd).id;
  const ids = new Uint32Array(MAX_PROGRAMS);
  return ifindexes.filter((ifindex) => {
    const count = new Uint32Array([MAX_PROGRAMS]);
    const result = libbpf.progQuery(ifindex, BPF_TCX_INGRESS, 0, null, ids, count);
    if (result === -ENODEV || result === -ENOENT || result === -EINVAL) return true;
    libbpf.check(result, `ask for the programs of device ${ifindex}`);
    return !ids.subarray(0, count[0]).includes(id);
  });
}

/** Undefined: it has gone meanwhile. */
export function programName(id: number): string | undefined {
  const fd = libbpf.programFdById(id);
  if (fd === -ENOENT) return undefined;
  libbpf.check(fd, `open program ${id}`);
  try {
    return describeProgram(fd).name;
  } finally {
    closeSync(fd);
  }
}

/** struct bpf_prog_info, as far as its name. */
export function describeProgram(fd: number): { id: number; name: string } {
  const info = Buffer.alloc(80);
  libbpf.check(libbpf.objInfo(fd, info, new Uint32Array([info.length])), "describe a program");
  return { id: info.readUInt32LE(4), name: info.toString("latin1", 64, info.indexOf(0, 64)) };
}
