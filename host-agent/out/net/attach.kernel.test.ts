import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import type { Endpoint, Mapping } from "../../core/ports.ts";
import { deviceExample } from "../../testing/devices.contract.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { type BpfDatapath, openDatapath } from "../datapath/index.ts";
import { NetnsInstanceDriver } from "../instance/netns-driver.ts";
import { VethDevices } from "./devices.ts";
import { TestHost } from "./testing/test-host.ts";
import { tunnelOverhead, VxlanUnderlay } from "./underlay.ts";
import { putMappings } from "../../testing/mapping-batches.ts";

const VNI = 77;
const GATEWAY_MAC = "02:00:00:00:00:01";

/** All that an agent drives on one host, with nothing faked. */
class WholeHost {
  readonly address: string;
  readonly namespace = new TestHost();
  readonly instances: NetnsInstanceDriver;
  readonly devices: VethDevices;
  readonly underlay: VxlanUnderlay;
  readonly #dir = mkdtempSync(join(tmpdir(), "plenum-host-"));
  #datapath: BpfDatapath | undefined;

  constructor(address: string) {
    this.address = address;
    const hostNamespace = this.namespace.path;
    willLeave({ kind: "directory", dir: this.#dir }, { kind: "mount", dir: join(this.#dir, "bpf") });
    this.instances = new NetnsInstanceDriver({ prefix: hostNamespace.split("/").at(-1)!, stateDir: join(this.#dir, "instances") });
    this.devices = new VethDevices({ netnsPath: (id) => this.instances.netnsPath(id), hostNamespace });
    this.underlay = new VxlanUnderlay({ hostAddress: address, hostNamespace });
  }

  /** After the substrate is there. */
  open(): void {
    const bpffsDir = join(this.#dir, "bpf");
    linux.mountBpffs(bpffsDir);
    const options = { bpffsDir, hostAddress: this.address, tunnelIfindex: this.underlay.ensureTunnel() };
    this.#datapath = linux.withNamespace(this.namespace.path, () => openDatapath(options));
  }

  get datapath(): BpfDatapath {
    if (this.#datapath === undefined) throw new Error("not open");
    return this.#datapath;
  }

  /** Instance, device, endpoint; the instance is "i-<wire id>" and its address 10.5.0.<wire id>. */
  attach(wireId: number): Endpoint {
    const instanceId = `i-${wireId}`;
    const guestMtu = this.underlay.substrateMtu() - tunnelOverhead(this.address);
    this.instances.create({ instanceId, argv: [], env: {}, dnsServers: [], identity: "" });
    const guestMac = `02:00:00:00:01:${wireId.toString(16).padStart(2, "0")}`;
    const addresses = [`10.5.0.${wireId}/24`];
    const spec = deviceExample({ wireId, instanceId, guestMac, gatewayMac: GATEWAY_MAC, guestMtu, addresses, gateways: ["10.5.0.1"] });
    const { ifindex } = this.devices.ensure(spec, (index) => this.datapath.guardDevice(index));
    const endpoint: Endpoint = {
      wireId,
      vni: VNI,
      addresses: [`10.5.0.${wireId}`],
      guestMac,
      gatewayMac: GATEWAY_MAC,
      ifindex,
      device: "veth",
      guestMtu,
      rulesetId: 1,
      groupSetId: 1,
      meterId: BigInt(wireId),
      sourceDestCheck: true,
      disabled: false,
    };
    this.datapath.putRuleset({
      id: 1,
      rules: (["ingress", "egress"] as const).map((direction) => ({
        direction,
        protocol: 1,
        portFrom: 0,
        portTo: 255,
        peerCidr: "10.5.0.0/24",
      })),
    });
    this.datapath.putMeter(endpoint);
    this.datapath.putEndpoint(endpoint);
    return endpoint;
  }

  mappingOf({ wireId, groupSetId }: Endpoint): Mapping {
    return { vni: VNI, prefix: `10.5.0.${wireId}/32`, hostAddress: this.address, wireId, groupSetId };
  }

  async ping(wireId: number, ...args: string[]): Promise<boolean> {
    return (await inNamespace(this.instances.netnsPath(`i-${wireId}`), "ping", "-q", "-c1", "-W1", ...args)).ok;
  }

  async dispose(): Promise<void> {
    this.#datapath?.close();
    for (const { instanceId } of this.instances.list()) await this.instances.remove(instanceId);
    this.namespace.dispose();
    linux.unmount(join(this.#dir, "bpf"));
    rmSync(this.#dir, { recursive: true });
  }
}

function connect(left: WholeHost, right: WholeHost): void {
  const namespaceFd = openSync(right.namespace.path, "r");
  linux.withNetlink(left.namespace.path, (nl) =>
    linux.createVeth(nl, {
      name: "sub0",
      mac: "06:00:00:00:00:01",
      mtu: 1500,
      peer: { name: "sub0", mac: "06:00:00:00:00:02", namespaceFd },
    }),
  );
  closeSync(namespaceFd);
  for (const { namespace, address } of [left, right]) {
    linux.withNetlink(namespace.path, (nl) => {
      const { ifindex } = linux.getLink(nl, "sub0")!;
      linux.addAddress(nl, ifindex, `${address}/24`);
      linux.setLink(nl, ifindex, { up: true });
    });
  }
}

describe("instances, devices, tunnel and programs of two hosts together", () => {
  let left: WholeHost;
  let right: WholeHost;
  let one: Endpoint;
  let two: Endpoint;
  const share = (...mappings: Mapping[]): void => {
    for (const host of [left, right]) putMappings(host.datapath, mappings);
  };

  beforeAll(() => {
    left = new WholeHost("198.18.0.1");
    right = new WholeHost("198.18.0.2");
    connect(left, right);
    for (const host of [left, right]) host.open();
    one = left.attach(10);
    two = right.attach(20);
    share(left.mappingOf(one), right.mappingOf(two));
  });
  afterAll(async () => {
    await left?.dispose();
    await right?.dispose();
  });

  it("carry packets across hosts at the guest's MTU and none above it", async () => {
    expect(await left.ping(10, "-Mdo", "-s1422", "10.5.0.20")).toBe(true);
    expect(await left.ping(10, "-Mdo", "-s1423", "10.5.0.20")).toBe(false);
  });

  it("carry nothing for a closed endpoint, and again once it is opened", async () => {
    right.datapath.closeEndpoint(20);
    expect(await left.ping(10, "10.5.0.20")).toBe(false);
    right.datapath.putEndpoint(two);
    expect(await left.ping(10, "10.5.0.20")).toBe(true);
  });

  it("carry packets again after the guest deleted its device and it was rebuilt", async () => {
    linux.withNetlink(right.instances.netnsPath("i-20"), (nl) => linux.deleteLink(nl, "eth0"));
    expect(right.devices.list()).toEqual([]);
    expect(await left.ping(10, "10.5.0.20")).toBe(false);
    right.attach(20);
    expect(await left.ping(10, "10.5.0.20")).toBe(true);
  });

  it("count what the guest's device saw", async () => {
    const egress = (): bigint => left.datapath.readMeters().find((m) => m.meterId === 10n && m.direction === "egress")!.packets;
    const before = egress();
    expect(await left.ping(10, "-c7", "-i0.02", "10.5.0.20")).toBe(true);
    expect(egress() - before).toBe(7n);
  });

  it("carry nothing after detach, and leave the guest without the device", async () => {
    right.datapath.closeEndpoint(20);
    right.devices.remove([20]);
    expect(await left.ping(10, "10.5.0.20")).toBe(false);
    expect(linux.withNetlink(right.instances.netnsPath("i-20"), (nl) => linux.getLinks(nl).map((link) => link.name))).toEqual(["lo"]);
  });
});
