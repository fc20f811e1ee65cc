import { closeSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { getIngressProgram, getLinks, withNetlink } from "#lib/linux/index.ts";
import { BPF_TCX_INGRESS, describeProgram, missingFilters, missingLinks, PLACE, programName } from "./attached.ts";
import * as libbpf from "./libbpf.ts";

/** TCX links outlive the agent as pins; clsact filters as part of the device. TCX needs kernel 6.6. */
export type AttachMode = "tcx" | "clsact";

/** struct bpf_link_info: the device index of a TCX link; 0 once the device is gone. */
const LINK_INFO_SIZE = 64;
const LINK_INFO_IFINDEX = 16;
const { ENOENT, EEXIST, EINVAL, ENODEV, ENOLINK } = constants.errno;

/** Programs on the ingress of devices of the calling thread's network namespace. */
export interface Attachments {
  readonly mode: AttachMode;
  /** Run the program on the device, in place of one of ours that runs there. `name` identifies the place across restarts. */
  ensure(name: string, ifindex: number, programFd: number): void;
  /** Swap the program everywhere but on the places named; forget places whose device is gone. */
  refresh(programFd: number, except: readonly string[]): void;
  /** Those of the devices that do not run this very program. */
  missing(ifindexes: readonly number[], programFd: number): number[];
  /** The device of this place is about to go: forget the place some time after it has. */
  retire(name: string): void;
}

/** @param mode forces one; by default TCX if the kernel has it. `linksDir` lies in a bpffs. */
export function openAttachments(linksDir: string, probeProgram: number, mode?: AttachMode): Attachments {
  mkdirSync(linksDir, { recursive: true, mode: 0o700 });
  return (mode ?? (hasTcx(probeProgram) ? "tcx" : "clsact")) === "tcx" ? new TcxLinks(linksDir) : new ClsactFilters();
}

/** A kernel without TCX calls the attach type invalid; one with it finds that no device has index 0x7fffffff. */
function hasTcx(programFd: number): boolean {
  const result = libbpf.linkCreate(programFd, 0x7fffffff, BPF_TCX_INGRESS, null);
  if (result >= 0) closeSync(result);
  return result !== -EINVAL;
}

class TcxLinks implements Attachments {
  readonly mode = "tcx";
  readonly #dir: string;
  readonly #retired = new Set<string>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  missing(ifindexes: readonly number[], programFd: number): number[] {
    return missingLinks(ifindexes, programFd);
  }

  retire(name: string): void {
    this.#retired.add(name);
  }

  /** A pin outlives its device; without this one would stay behind for each that ever was. */
  #sweep(): void {
    for (const name of this.#retired) {
      const path = join(this.#dir, name);
      const link = libbpf.objGet(path);
      if (link !== -ENOENT) {
        libbpf.check(link, `open the link ${path}`);
        const gone = linkIfindex(link) === 0;
        closeSync(link);
        if (!gone) continue;
        rmSync(path);
      }
      this.#retired.delete(name);
    }
  }

  ensure(name: string, ifindex: number, programFd: number): void {
    this.#retired.delete(name);
    this.#sweep();
    const path = join(this.#dir, name);
    const pinned = libbpf.objGet(path);
    if (pinned !== -ENOENT) {
      try {
        libbpf.check(pinned, `open the link ${path}`);
        if (linkIfindex(pinned) === ifindex) {
          libbpf.check(libbpf.linkUpdate(pinned, programFd, null), `swap the program on device ${ifindex}`);
          return;
        }
      } finally {
        if (pinned >= 0) closeSync(pinned);
      }
      rmSync(path);
    }
    const link = libbpf.check(libbpf.linkCreate(programFd, ifindex, BPF_TCX_INGRESS, null), `attach to device ${ifindex}`);
    try {
      libbpf.check(libbpf.objPin(link, path), `pin ${path}`);
    } finally {
      closeSync(link);
    }
  }

  refresh(programFd: number, except: readonly string[]): void {
    for (const name of readdirSync(this.#dir)) {
      if (except.includes(name)) continue;
      const path = join(this.#dir, name);
      const link = libbpf.check(libbpf.objGet(path), `open the link ${path}`);
      try {
        // The device may go at any moment, also between the two questions.
        const swapped = linkIfindex(link) === 0 ? -ENOLINK : libbpf.linkUpdate(link, programFd, null);
        if (swapped === -ENOLINK) rmSync(path);
        else libbpf.check(swapped, `swap the program of ${path}`);
      } finally {
        closeSync(link);
      }
    }
  }
}

function linkIfindex(link: number): number {
  const info = Buffer.alloc(LINK_INFO_SIZE);
  libbpf.check(libbpf.objInfo(link, info, new Uint32Array([LINK_INFO_SIZE])), "read a link");
  return info.readUInt32LE(LINK_INFO_IFINDEX);
}

/** The floor: a direct-action filter on the clsact qdisc, always at the same place, so that "replace" swaps it at once. */
class ClsactFilters implements Attachments {
  readonly mode = "clsact";

  ensure(_name: string, ifindex: number, programFd: number): void {
    const created = libbpf.tcHookCreate(hookOf(ifindex));
    if (created !== -EEXIST) libbpf.check(created, `add clsact to device ${ifindex}`);
    libbpf.check(libbpf.tcAttach(hookOf(ifindex), filter(programFd)), `attach to device ${ifindex}`);
  }

  /** Filters are not listed anywhere: each device is asked. The tunnel's program has another name. */
  refresh(programFd: number): void {
    const own = describeProgram(programFd);
    withNetlink(undefined, (nl) => {
      for (const { ifindex } of getLinks(nl)) {
        const id = getIngressProgram(nl, ifindex, PLACE);
        if (id === undefined || id === own.id || programName(id) !== own.name) continue;
        const swapped = libbpf.tcAttach(hookOf(ifindex), filter(programFd));
        if (swapped !== -ENODEV) libbpf.check(swapped, `swap the program on device ${ifindex}`); // gone since it was listed
      }
    });
  }

  missing(ifindexes: readonly number[], programFd: number): number[] {
    return missingFilters(ifindexes, programFd);
  }

  /** A filter goes with its device. */
  retire(): void {}
}

/** struct bpf_tc_hook: size, ifindex, attach point, parent. */
function hookOf(ifindex: number): Buffer {
  const hook = Buffer.alloc(24);
  hook.writeBigUInt64LE(24n, 0);
  hook.writeInt32LE(ifindex, 8);
  hook.writeUInt32LE(1, 12); // BPF_TC_INGRESS
  return hook;
}

/** struct bpf_tc_opts: size, program, flags, program id, handle, priority. */
function filter(programFd: number): Buffer {
  const opts = Buffer.alloc(32);
  opts.writeBigUInt64LE(32n, 0);
  opts.writeInt32LE(programFd, 8);
  opts.writeUInt32LE(1, 12); // BPF_TC_F_REPLACE
  opts.writeUInt32LE(PLACE.handle, 20);
  opts.writeUInt32LE(PLACE.priority, 24);
  return opts;
}
