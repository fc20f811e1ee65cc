import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { underlayContract } from "../../testing/underlay.contract.ts";
import { TestHost } from "./testing/test-host.ts";
import { TUNNEL_DEVICE, VxlanUnderlay } from "./underlay.ts";

const hostAddress = "198.18.0.1";

function hostWithSubstrate(mtu: number): TestHost {
  const host = new TestHost();
  linux.withNetlink(host.path, (nl) => {
    linux.createVeth(nl, { name: "sub0", mac: "02:00:00:00:aa:01", mtu, peer: { name: "sub1", mac: "02:00:00:00:aa:02" } });
    const { ifindex } = linux.getLink(nl, "sub0")!;
    linux.addAddress(nl, ifindex, `${hostAddress}/24`);
    linux.setLink(nl, ifindex, { up: true });
    linux.setLink(nl, linux.getLink(nl, "sub1")!.ifindex, { up: true });
  });
  return host;
}

underlayContract("VxlanUnderlay", () => {
  const host = hostWithSubstrate(1400);
  return {
    underlay: new VxlanUnderlay({ hostAddress, hostNamespace: host.path }),
    loseAddress: () =>
      linux.withNetlink(host.path, (nl) => linux.deleteAddress(nl, linux.getLink(nl, "sub0")!.ifindex, `${hostAddress}/24`)),
    setCarrier: (up) => linux.withNetlink(host.path, (nl) => linux.setLink(nl, linux.getLink(nl, "sub1")!.ifindex, { up })),
    setTunnel: (what) =>
      linux.withNetlink(host.path, (nl) => {
        if (what === "gone") linux.deleteLink(nl, TUNNEL_DEVICE);
        else linux.setLink(nl, linux.getLink(nl, TUNNEL_DEVICE)!.ifindex, { up: false });
      }),
    dispose: () => host.dispose(),
  };
});

describe("the tunnel device", () => {
  let host: TestHost;
  let underlay: VxlanUnderlay;
  beforeEach(() => {
    host = hostWithSubstrate(9000);
    underlay = new VxlanUnderlay({ hostAddress, hostNamespace: host.path });
  });
  afterEach(() => host.dispose());
  const inHost = <T>(fn: (nl: linux.NetlinkSocket) => T): T => linux.withNetlink(host.path, fn);

  it("is an external VXLAN device, up, 50 bytes below the substrate, and silent", () => {
    const ifindex = underlay.ensureTunnel();
    const link = host.link(host.path, TUNNEL_DEVICE)!;
    expect(link).toMatchObject({ ifindex, up: true, mtu: 8950, kind: "vxlan" });
    expect(linux.isVxlanExternal(link)).toBe(true);
    expect(inHost((nl) => linux.getAddresses(nl, ifindex))).toEqual([]);
  });

  it("follows the substrate's MTU and replaces a device of another kind", () => {
    inHost((nl) => linux.createBridge(nl, TUNNEL_DEVICE));
    const ifindex = underlay.ensureTunnel();
    expect(host.link(host.path, ifindex)?.kind).toBe("vxlan");
    inHost((nl) => linux.setLink(nl, linux.getLink(nl, "sub0")!.ifindex, { mtu: 1500 }));
    expect(underlay.ensureTunnel()).toBe(ifindex);
    expect(host.link(host.path, ifindex)?.mtu).toBe(1450);
  });
});
