import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as linux from "../index.ts";
import { willLeave } from "../testing/leftovers.ts";

const names = [`plt${process.pid}nla`, `plt${process.pid}nlb`] as const;
let paths: string[];
let nl: linux.NetlinkSocket;

willLeave({ kind: "namespaces", prefix: `plt${process.pid}nl` });

beforeEach(() => {
  paths = names.map((name) => linux.createNamedNamespace(name));
  nl = linux.NetlinkSocket.open(paths[0]);
});
afterEach(() => {
  nl.close();
  for (const name of names) linux.deleteNamedNamespace(name);
});

const veth = (name: string, peerName: string): linux.NewVeth => ({
  name,
  mac: "02:00:00:00:00:01",
  mtu: 1450,
  peer: { name: peerName, mac: "02:00:00:00:00:02" },
});

describe("route netlink", () => {
  it("makes a veth pair across two namespaces, each end knowing the other", () => {
    const namespaceFd = openSync(paths[1]!, "r");
    linux.createVeth(nl, { ...veth("left", "right"), peer: { ...veth("left", "right").peer, namespaceFd } });
    closeSync(namespaceFd);
    const left = linux.getLink(nl, "left")!;
    const right = linux.withNetlink(paths[1], (other) => linux.getLink(other, "right"))!;
    expect(left).toMatchObject({ mac: "02:00:00:00:00:01", mtu: 1450, up: false, kind: "veth", peerIfindex: right.ifindex });
    expect(right).toMatchObject({ mac: "02:00:00:00:00:02", mtu: 1450, up: false, kind: "veth", peerIfindex: left.ifindex });
    expect(linux.getLink(nl, "right")).toBeUndefined();
    linux.deleteLink(nl, left.ifindex);
    linux.deleteLink(nl, left.ifindex);
    expect(linux.withNetlink(paths[1], (other) => linux.getLink(other, "right"))).toBeUndefined();
  });

  it("changes what is named of a device and nothing else", () => {
    linux.createVeth(nl, veth("left", "right"));
    linux.createBridge(nl, "bridge");
    const bridge = linux.getLink(nl, "bridge")!;
    const { ifindex } = linux.getLink(nl, "left")!;
    linux.setLink(nl, ifindex, { name: "renamed", mtu: 1300, mac: "02:00:00:00:00:09", alias: "whose: mine" });
    linux.setLink(nl, ifindex, { up: true, master: bridge.ifindex });
    const expected = {
      ifindex,
      name: "renamed",
      mtu: 1300,
      mac: "02:00:00:00:00:09",
      alias: "whose: mine",
      up: true,
      master: bridge.ifindex,
    };
    expect(linux.getLink(nl, ifindex)).toMatchObject(expected);
    linux.setLink(nl, ifindex, { master: 0 });
    expect(linux.getLinks(nl).find((link) => link.name === "renamed")).toMatchObject({ ...expected, master: 0 });
  });

  it("knows an external VXLAN device from others", () => {
    linux.createVxlanExternal(nl, "tunnel");
    linux.createBridge(nl, "bridge");
    expect(linux.isVxlanExternal(linux.getLink(nl, "tunnel")!)).toBe(true);
    expect(linux.isVxlanExternal(linux.getLink(nl, "tunnel")!, 4790)).toBe(false);
    expect(linux.isVxlanExternal(linux.getLink(nl, "bridge")!)).toBe(false);
  });

  it("puts and takes addresses, routes, rules and neighbours, each however often", () => {
    linux.createVeth(nl, veth("left", "right"));
    const { ifindex } = linux.getLink(nl, "left")!;
    linux.setLink(nl, ifindex, { up: true });
    const route = { to: "10.9.0.0/16", via: "10.1.0.1", ifindex, table: 4000, source: "10.0.0.5" };
    const rules: linux.Rule[] = [
      { from: "10.0.0.5", table: 4000, priority: 7 },
      { outDevice: "left", family: 6, table: 4000, priority: 8 },
    ];
    for (let repeat = 0; repeat < 2; repeat++) {
      linux.addAddress(nl, ifindex, "10.0.0.5/24");
      linux.addAddress(nl, ifindex, "fd00::5/64");
      linux.putRoute(nl, route);
      for (const rule of rules) linux.addRule(nl, rule);
      linux.addNeighbour(nl, ifindex, "10.0.0.9", "02:00:00:00:00:09");
    }
    expect(linux.getAddresses(nl, ifindex).map((a) => a.prefix)).toEqual(expect.arrayContaining(["10.0.0.5/24", "fd00::5/64"]));
    expect(linux.getOwnRoutes(nl)).toEqual([route]);
    expect(linux.getOwnRules(nl)).toEqual(rules);
    for (let repeat = 0; repeat < 2; repeat++) {
      linux.deleteRoute(nl, route);
      for (const rule of rules) linux.deleteRule(nl, rule);
      linux.deleteAddress(nl, ifindex, "10.0.0.5/24");
    }
    expect([linux.getOwnRoutes(nl), linux.getOwnRules(nl)]).toEqual([[], []]);
    expect(linux.getAddresses(nl, ifindex).map((a) => a.prefix)).not.toContain("10.0.0.5/24");
  });

  it("tells once what happened to devices and filters", async () => {
    const events = linux.NetworkEvents.open(paths[0]);
    try {
      const nothing = { links: new Map(), filters: new Set(), overrun: false };
      expect(events.take()).toEqual(nothing);
      linux.createVeth(nl, veth("left", "right"));
      const { ifindex, peerIfindex, mtu } = linux.getLink(nl, "left")!;
      expect(events.take().links.get(ifindex)).toEqual({ carrier: false, mtu });
      linux.setLink(nl, ifindex, { up: true, mtu: 1300 });
      linux.setLink(nl, peerIfindex, { up: true });
      // The kernel tells of a carrier a moment after it is there.
      await expect.poll(() => events.take().links.get(ifindex)).toEqual({ carrier: true, mtu: 1300 });
      const tc = (...args: string[]): unknown => execFileSync("nsenter", [`--net=${paths[0]}`, "tc", ...args]);
      tc("qdisc", "add", "dev", "left", "clsact");
      expect(events.take()).toEqual({ ...nothing, filters: new Set([ifindex]) });
      tc("qdisc", "del", "dev", "left", "clsact");
      expect(events.take()).toEqual({ ...nothing, filters: new Set([ifindex]) });
      expect(linux.getIngressProgram(nl, ifindex, { handle: 1, priority: 1 })).toBeUndefined();
      expect(events.take()).toEqual(nothing);
      for (let round = 0; round < 3_000; round++) linux.setLink(nl, ifindex, { mtu: 1200 + (round % 2) });
      expect(events.take().overrun).toBe(true); // more than the socket keeps
      expect(events.take()).toEqual(nothing);
      linux.deleteLink(nl, ifindex);
      const { links } = events.take();
      expect([links.has(ifindex), links.get(ifindex)]).toEqual([true, undefined]);
    } finally {
      events.close();
    }
  });

  it("lists more devices than fit one datagram", () => {
    for (let i = 0; i < 60; i++) linux.createBridge(nl, `bridge${i}`);
    const listed = linux.getLinks(nl).filter((link) => link.kind === "bridge");
    expect(new Set(listed.map((link) => link.name)).size).toBe(60);
  });

  it("says what was asked, where, and why the kernel refused", () => {
    linux.createBridge(nl, "bridge");
    expect(() => linux.createBridge(nl, "bridge")).toThrow(`create bridge device bridge in ${paths[0]}: EEXIST`);
    expect(() => linux.putRoute(nl, { to: "10.0.0.0/8", ifindex: 2, via: "10.0.0.1" })).toThrow(/route .*10\.0\.0\.0\/8.*ENETDOWN \(.+\)/);
    expect(() => linux.putRoute(nl, { to: "10.0.0.0/8", ifindex: 2, via: "fd00::1" })).toThrow(RangeError);
    expect(() => linux.setLink(nl, 999, { up: true })).toThrow(/device 999.*ENODEV/);
    expect(() => linux.createBridge(nl, "a-name-that-is-too-long")).toThrow(RangeError);
    // The socket is still good after refusals.
    expect(linux.getLinks(nl).map((link) => link.name)).toEqual(["lo", "bridge"]);
  });
});
