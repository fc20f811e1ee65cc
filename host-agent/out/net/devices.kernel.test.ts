import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { deviceExample, devicesContract } from "../../testing/devices.contract.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { hostDeviceName } from "./device-name.ts";
import { VethDevices } from "./devices.ts";
import { forgetGuest } from "./guest-network.ts";
import { TestHost } from "./testing/test-host.ts";

function open(host: TestHost): VethDevices {
  return new VethDevices({ netnsPath: (instanceId) => host.instancePath(instanceId), hostNamespace: host.path });
}

devicesContract("VethDevices", () => {
  const host = new TestHost("i-one", "i-two");
  return {
    devices: open(host),
    reopen: () => open(host),
    guest: (instanceId, deviceIndex) =>
      linux.withNetlink(host.instancePath(instanceId), (nl) => {
        const link = linux.getLink(nl, `eth${deviceIndex}`);
        return (
          link && {
            mac: link.mac,
            mtu: link.mtu,
            up: link.up,
            addresses: linux.getAddresses(nl, link.ifindex).map((address) => address.prefix),
          }
        );
      }),
    hostEndUp: (ifindex) => host.link(host.path, ifindex)?.up ?? false,
    setDown: ({ instanceId, ifindex }, end) =>
      end === "host"
        ? linux.withNetlink(host.path, (nl) => linux.setLink(nl, ifindex, { up: false }))
        : linux.withNetlink(host.instancePath(instanceId), (nl) => linux.setLink(nl, linux.getLink(nl, "eth0")!.ifindex, { up: false })),
    deleteInGuest: (instanceId, deviceIndex) =>
      linux.withNetlink(host.instancePath(instanceId), (nl) => linux.deleteLink(nl, `eth${deviceIndex}`)),
    dispose: () => host.dispose(),
  };
});

describe("packets through VethDevices", () => {
  let host: TestHost;
  beforeEach(() => {
    host = new TestHost("i-one", "i-two");
    linux.writeSysctlsIn(host.path, { "net.ipv4.ip_forward": 1 });
  });
  afterEach(() => host.dispose());

  /** The host plays the router with the kernel's own forwarding, since no program is attached here. */
  function attach(changes: Parameters<typeof deviceExample>[0], address: string, gateway: string): number {
    const spec = deviceExample({ addresses: [`${address}/24`], gateways: [gateway], ...changes });
    const { ifindex } = open(host).ensure(spec, () => {});
    linux.writeSysctlsIn(host.path, { [`net.ipv4.conf.${hostDeviceName(spec.wireId)}.arp_ignore`]: 0 });
    linux.withNetlink(host.path, (nl) => {
      linux.addAddress(nl, ifindex, `${gateway}/32`);
      linux.putRoute(nl, { to: `${address}/32`, ifindex });
    });
    return ifindex;
  }

  const ping = async (instanceId: string, ...args: string[]): Promise<boolean> =>
    (await inNamespace(host.instancePath(instanceId), "ping", "-q", "-c1", "-W1", ...args)).ok;

  /** Packets that the host's end has received from the guest. */
  function receivedFrom(name: string): number {
    const line = linux
      .withNamespace(host.path, () => readFileSync("/proc/thread-self/net/dev", "utf8"))
      .match(new RegExp(`${name}: *(.*)`));
    return Number(line?.[1]?.split(/ +/)[1]);
  }

  it("pass between two guests, at the MTU and not above it, and not when an end is gone", async () => {
    const one = { wireId: 1, guestMac: "02:00:00:00:00:01" };
    const two = { wireId: 2, guestMac: "02:00:00:00:00:02", instanceId: "i-two" };
    attach(one, "10.0.1.5", "10.0.1.1");
    expect(await ping("i-one", "10.0.2.5")).toBe(false);
    attach(two, "10.0.2.5", "10.0.2.1");
    expect(await ping("i-one", "10.0.2.5")).toBe(true);
    // 20 bytes of IP header and 8 of ICMP beside the payload.
    expect(await ping("i-one", "-Mdo", "-s1422", "10.0.2.5")).toBe(true);
    expect(await ping("i-one", "-Mdo", "-s1423", "10.0.2.5")).toBe(false);
    open(host).remove([2]);
    expect(await ping("i-one", "10.0.2.5")).toBe(false);
  });

  it("are taken by both ends as soon as the device is there", () => {
    const running = (path: string): boolean[] =>
      linux.withNetlink(path, (nl) => linux.getLinks(nl).filter((link) => link.kind === "veth")).map((link) => link.running);
    const seen: boolean[] = [];
    for (let wireId = 1; wireId <= 12; wireId += 1) {
      open(host).ensure(deviceExample({ wireId }), () => {});
      seen.push(...running(host.path), ...running(host.instancePath("i-one")));
      open(host).remove([wireId]);
    }
    expect(seen).toEqual(Array(24).fill(true));
  });

  it("go back through the interface they came by (N5), because of the rules", async () => {
    attach({ wireId: 0x10, guestMac: "02:00:00:00:00:10" }, "10.0.1.5", "10.0.1.1");
    attach({ wireId: 0x11, guestMac: "02:00:00:00:00:11", deviceIndex: 1 }, "10.0.2.5", "10.0.2.1");
    attach({ wireId: 0x20, guestMac: "02:00:00:00:00:20", instanceId: "i-two" }, "10.0.9.5", "10.0.9.1");
    const replies = async (): Promise<{ answered: boolean; first: number; second: number }> => {
      const before = [receivedFrom("pv00000010"), receivedFrom("pv00000011")] as const;
      const answered = await ping("i-two", "-c5", "-i0.05", "10.0.2.5");
      return { answered, first: receivedFrom("pv00000010") - before[0], second: receivedFrom("pv00000011") - before[1] };
    };
    const symmetric = await replies();
    expect(symmetric.answered).toBe(true);
    expect(symmetric.first).toBe(0);
    expect(symmetric.second).toBeGreaterThanOrEqual(5);
    // A socket bound to the device, without an address, leaves through it too.
    expect(await ping("i-one", "-Ieth1", "10.0.9.5")).toBe(true);
    linux.withNetlink(host.instancePath("i-one"), (nl) => forgetGuest(nl, 1));
    const asymmetric = await replies();
    expect(asymmetric.first).toBeGreaterThanOrEqual(5);
  });

  it("reach the host's stack by no MAC that a guest is told, also of a device that an agent from before made, which stays", () => {
    const { gatewayMac } = deviceExample();
    const mac = (): string | undefined => linux.withNetlink(host.path, (nl) => linux.getLink(nl, "pv00000001")?.mac);
    const ifindex = attach({ wireId: 1 }, "10.0.1.5", "10.0.1.1");
    expect(mac()).not.toBe(gatewayMac);
    linux.withNetlink(host.path, (nl) => linux.setLink(nl, ifindex, { mac: gatewayMac }));
    expect(attach({ wireId: 1 }, "10.0.1.5", "10.0.1.1")).toBe(ifindex);
    expect(mac()).not.toBe(gatewayMac);
  });

  it("come unasked from no guest or host end: no IPv6, no router solicitation", async () => {
    attach({ wireId: 1 }, "10.0.1.5", "10.0.1.1");
    for (const path of [host.path, host.instancePath("i-one")]) {
      const addresses = linux.withNetlink(path, (nl) => linux.getAddresses(nl));
      expect(addresses.filter((a) => a.prefix.includes(":")).map((a) => a.prefix)).toEqual(["::1/128"]);
    }
    expect(receivedFrom("pv00000001")).toBe(0);
  });
});

describe("VethDevices in an instance that plays root", () => {
  let host: TestHost;
  beforeEach(() => {
    host = new TestHost("i-one");
  });
  afterEach(() => host.dispose());
  const inGuest = <T>(fn: (nl: linux.NetlinkSocket) => T): T => linux.withNetlink(host.instancePath("i-one"), fn);

  it("makes a device anew that the guest has renamed, and puts aside what the guest put in its place", () => {
    const first = open(host).ensure(deviceExample(), () => {});
    inGuest((nl) => {
      const link = linux.getLink(nl, "eth0")!;
      linux.setLink(nl, link.ifindex, { up: false });
      linux.setLink(nl, link.ifindex, { name: "mine" });
      linux.createBridge(nl, "eth0");
    });
    const second = open(host).ensure(deviceExample(), () => {});
    expect(second.ifindex).not.toBe(first.ifindex);
    expect(inGuest((nl) => linux.getLinks(nl).map((link) => [link.name, link.kind]))).toEqual([
      ["lo", ""],
      ["eth0", "veth"],
    ]);
  });

  it("restores addresses, routes and rules that the guest has removed, and takes its own away with the device", () => {
    open(host).ensure(deviceExample(), () => {});
    const view = (): unknown => inGuest((nl) => [linux.getAddresses(nl), linux.getOwnRoutes(nl), linux.getOwnRules(nl)]);
    const before = view();
    inGuest((nl) => {
      const { ifindex } = linux.getLink(nl, "eth0")!;
      linux.addAddress(nl, ifindex, "10.7.7.7/24");
      linux.deleteAddress(nl, ifindex, "10.0.1.5/24");
      forgetGuest(nl, 0);
    });
    expect(view()).not.toEqual(before);
    open(host).ensure(deviceExample(), () => {});
    expect(view()).toEqual(before);
    open(host).remove([deviceExample().wireId]);
    expect(inGuest((nl) => [linux.getOwnRoutes(nl), linux.getOwnRules(nl)])).toEqual([[], []]);
  });

  it("follows a change of subnet", () => {
    open(host).ensure(deviceExample(), () => {});
    open(host).ensure(deviceExample({ addresses: ["10.0.8.5/28"], gateways: ["10.0.8.1"] }), () => {});
    const { ifindex } = inGuest((nl) => linux.getLink(nl, "eth0"))!;
    const byTable = (a: linux.Route, b: linux.Route): number => `${a.table}${a.to}`.localeCompare(`${b.table}${b.to}`);
    expect(inGuest((nl) => linux.getOwnRoutes(nl)).sort(byTable)).toEqual([
      { to: "0.0.0.0/0", ifindex, table: 1000, via: "10.0.8.1", source: "10.0.8.5" },
      { to: "10.0.8.0/28", ifindex, table: 1000, source: "10.0.8.5" },
      { to: "0.0.0.0/0", ifindex, table: 254, via: "10.0.8.1", source: "10.0.8.5" },
    ]);
    expect(inGuest((nl) => linux.getOwnRules(nl))).toEqual([
      { table: 1000, priority: 1000, outDevice: "eth0", family: 4 },
      { table: 1000, priority: 2000, from: "10.0.8.5" },
    ]);
  });
});
