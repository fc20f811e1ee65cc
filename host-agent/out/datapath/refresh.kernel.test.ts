import { appendFileSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { buildBpf, type AttachMode } from "./index.ts";
import { Lab, type LabGuest, type LabHost } from "./testing/lab.ts";

// What happens in the kernel just before a program is swapped on a device.
const before = vi.hoisted(() => ({ swap: () => {} }));
vi.mock(import("./libbpf.ts"), async (load) => {
  const real = await load();
  const first =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      before.swap();
      return call(...args);
    };
  return { ...real, tcAttach: first(real.tcAttach), linkUpdate: first(real.linkUpdate) };
});

let lab: Lab;
let a: LabHost;
let directory: string;

beforeEach(() => {
  lab = new Lab();
  directory = mkdtempSync(join(tmpdir(), "plenum-object-"));
  willLeave({ kind: "directory", dir: directory });
});
afterEach(() => {
  before.swap = () => {};
  lab.dispose();
  rmSync(directory, { recursive: true });
});

test.each<AttachMode>(["tcx", "clsact"])(
  "a device that goes while programs are swapped keeps no other from its program (%s)",
  async (attach) => {
    a = lab.host("a", "198.18.0.1", { attach });
    const guests = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) => lab.openGuest(a, address));
    const [going, one, other] = guests as [LabGuest, LabGuest, LabGuest];
    const object = join(directory, "other.bpf.o");
    copyFileSync(buildBpf().objectPath, object);
    appendFileSync(object, "\n");
    before.swap = () => linux.withNetlink(a.path, (nl) => linux.deleteLink(nl, going.hostDevice));
    lab.reopen(a, { objectPath: object });
    const ifindexes = [one, other].map(({ endpoint }) => endpoint.ifindex);
    expect(linux.withNamespace(a.path, () => a.datapath.unguarded(ifindexes))).toEqual([]);
    expect((await inNamespace(one.path, "ping", "-c1", "-W1", other.address)).ok).toBe(true);
  },
);
