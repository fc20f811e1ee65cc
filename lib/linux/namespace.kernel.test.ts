import { execFileSync } from "node:child_process";
import { mkdtempSync, readlinkSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import * as linux from "./index.ts";
import { willLeave } from "./testing/leftovers.ts";

const prefix = `plt${process.pid}ns`;
willLeave({ kind: "namespaces", prefix });
let made = 0;
const freshName = (): string => `${prefix}${++made}`;
const here = (): string => readlinkSync(linux.OWN_NAMESPACE);

afterEach(() => {
  for (const name of linux.listNamedNamespaces()) if (name.startsWith(prefix)) linux.deleteNamedNamespace(name);
});

describe("withNamespace", () => {
  it("is inside for the function's length and back afterwards, also when that throws", () => {
    const home = here();
    const path = linux.createNamedNamespace(freshName());
    const inside = linux.withNamespace(path, here);
    expect(inside).not.toBe(home);
    expect(here()).toBe(home);
    const failing = (): never => {
      throw new Error(here());
    };
    expect(() => linux.withNamespace(path, failing)).toThrow(inside);
    expect(here()).toBe(home);
  });

  it("refuses what is no namespace, and a function that would go on later", () => {
    const home = here();
    const path = linux.createNamedNamespace(freshName());
    expect(() => linux.withNamespace("/run/netns/no-such-name", here)).toThrow(/ENOENT/);
    expect(() => linux.withNamespace("/etc/hostname", here)).toThrow(/EINVAL/);
    for (const where of [path, linux.OWN_NAMESPACE])
      expect(() => linux.withNamespace(where, () => Promise.resolve())).toThrow(/synchronous/);
    expect(here()).toBe(home);
  });

  it("stays where it is for the thread's own", () => {
    const path = linux.createNamedNamespace(freshName());
    expect(linux.withNamespace(path, () => [here(), linux.withNamespace(linux.OWN_NAMESPACE, here), here()])).toEqual(
      Array(3).fill(linux.withNamespace(path, here)),
    );
  });

  it("nests", () => {
    const [outer, inner] = [linux.createNamedNamespace(freshName()), linux.createNamedNamespace(freshName())];
    const seen = linux.withNamespace(outer, () => [here(), linux.withNamespace(inner, here), here()]);
    expect(seen[0]).toBe(seen[2]);
    expect(seen[1]).not.toBe(seen[0]);
  });
});

describe("a named namespace", () => {
  it("is one that ip netns knows, empty but for a loopback that is up", () => {
    const name = freshName();
    const path = linux.createNamedNamespace(name);
    expect(execFileSync("ip", ["netns", "list"], { encoding: "utf8" })).toContain(name);
    expect(linux.withNetlink(path, (nl) => linux.getLinks(nl).map((link) => [link.name, link.up]))).toEqual([["lo", true]]);
    expect(linux.namespaceExists(name)).toBe(true);
  });

  it("is created once, and deleted however often", () => {
    const name = freshName();
    expect([linux.ensureNamedNamespace(name), linux.ensureNamedNamespace(name)]).toEqual([true, false]);
    expect(() => linux.createNamedNamespace(name)).toThrow(/EEXIST/);
    linux.deleteNamedNamespace(name);
    linux.deleteNamedNamespace(name);
    expect(linux.namespaceExists(name)).toBe(false);
    expect(linux.listNamedNamespaces()).not.toContain(name);
  });

  it("can be made by ip netns and deleted by us, and the other way round", () => {
    const [theirs, ours] = [freshName(), freshName()];
    linux.createNamedNamespace(ours);
    execFileSync("ip", ["netns", "add", theirs]);
    linux.deleteNamedNamespace(theirs);
    execFileSync("ip", ["netns", "delete", ours]);
    expect([linux.namespaceExists(theirs), linux.namespaceExists(ours)]).toEqual([false, false]);
  });

  it.each(["", "a/b", "..", ".hidden", "-n", "a b"])("is never called %j", (name) => {
    expect(() => linux.createNamedNamespace(name)).toThrow(RangeError);
    expect(() => linux.deleteNamedNamespace(name)).toThrow(RangeError);
  });
});

describe("a sysctl", () => {
  it("belongs to the namespace it was written in", () => {
    const path = linux.createNamedNamespace(freshName());
    const before = linux.readSysctl("net.ipv4.ping_group_range");
    linux.writeSysctlsIn(path, { "net.ipv4.ping_group_range": "5 7", "net.ipv4.ip_forward": 1 });
    expect(linux.withNamespace(path, () => linux.readSysctl("net.ipv4.ping_group_range"))).toBe("5\t7");
    expect(linux.readSysctl("net.ipv4.ping_group_range")).toBe(before);
    expect(() => linux.writeSysctlsIn(path, { "net.ipv4.no_such_key": 1 })).toThrow(/no_such_key/);
    expect(() => linux.writeSysctl("kernel.hostname", "x")).toThrow(RangeError);
  });
});

describe("a BPF file system", () => {
  it("is mounted once, found again, and unmounted however often", () => {
    const parent = mkdtempSync(join(tmpdir(), "plenum-bpffs-"));
    const dir = join(parent, "pins here");
    willLeave({ kind: "directory", dir: parent }, { kind: "mount", dir });
    try {
      expect(linux.isBpffs(dir)).toBe(false);
      expect([linux.mountBpffs(dir), linux.mountBpffs(dir)]).toEqual([true, false]);
      expect(linux.isMountPoint(dir)).toBe(true);
      expect(statfsSync(dir).type).toBe(0xcafe4a11);
    } finally {
      linux.unmount(dir);
      linux.unmount(dir);
      expect(linux.isMountPoint(dir)).toBe(false);
      rmSync(parent, { recursive: true });
    }
  });
});
