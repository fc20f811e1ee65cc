import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { Reconciler } from "./core/reconciler.ts";
import { hostDeviceName } from "./out/net/device-name.ts";
import { VethDevices } from "./out/net/devices.ts";
import { TUNNEL_DEVICE, VxlanUnderlay } from "./out/net/underlay.ts";
import { type AttachMode, openDatapath } from "./out/datapath/index.ts";
import { Lab } from "./out/datapath/testing/lab.ts";
import { takeProgram } from "./out/datapath/testing/take-program.ts";
import { NetnsInstanceDriver } from "./out/instance/netns-driver.ts";
import { FAKE_SETTINGS } from "./testing/fake-host.ts";
import { attachment, attachmentItem, instance, instanceItem, ruleset, rulesetItem } from "./testing/feed-world.ts";
import { piecesOf } from "./testing/mapping-batches.ts";
import { inNamespace } from "./testing/guest-shell.ts";

/** What an agent of main.ts drives, with a hand in place of its feeds and its clock, on each of two hosts. */
class Host {
  readonly n: number;
  readonly address: string;
  readonly path: string;
  readonly bpffsDir: string;
  readonly lost: string[] = [];
  readonly #instances: NetnsInstanceDriver;
  readonly #reconciler: Reconciler;
  readonly #events: linux.NetworkEvents;
  readonly #close: () => void;

  constructor(lab: Lab, directory: string, n: number, attach: AttachMode) {
    this.n = n;
    this.address = `198.18.0.${n}`;
    this.path = lab.machine(`h${n}`, this.address);
    this.bpffsDir = join(lab.bpffs, `h${n}`);
    mkdirSync(this.bpffsDir);
    this.#events = linux.NetworkEvents.open(this.path);
    const prefix = this.path.split("/").at(-1)!;
    this.#instances = new NetnsInstanceDriver({ prefix, stateDir: join(directory, `h${n}`) });
    const underlay = new VxlanUnderlay({ hostAddress: this.address });
    const devices = new VethDevices({ netnsPath: (id) => this.#instances.netnsPath(id) });
    const options = { bpffsDir: this.bpffsDir, hostAddress: this.address, attach };
    const datapath = this.#here(() => openDatapath({ ...options, tunnelIfindex: underlay.ensureTunnel() }));
    this.#close = () => datapath.close();
    this.#reconciler = new Reconciler(
      {
        ...{ datapath, devices, underlay, instances: this.#instances },
        reportFinal: () => true,
        isSafe: () => true,
        wake: () => {},
        clock: () => performance.now(),
        failed: (step, error) => {
          throw new Error(step, { cause: error });
        },
        lost: (what, count) => this.lost.push(`${what} ${count}`),
      },
      { ...FAKE_SETTINGS, budgetMs: 5_000 },
    );
    this.#here(() => this.#reconciler.adopt());
  }

  /** Instance n with its interface, and every mapping. */
  run(): void {
    const networkId = 101n;
    const { host, mappings } = this.#reconciler;
    const rule = {
      protocol: 0,
      portFrom: 0,
      portTo: 65_535,
      peerCidr: "0.0.0.0/0",
      peerIsGroup: false,
      peerGroupSetIds: [],
      peerGroupId: "",
    };
    const rules = [true, false].map((egress) => ({ egress, ...rule }));
    const addresses = [`10.0.101.${this.n}/24`];
    const items = [
      ruleset(rulesetItem(1, { rules })),
      instance(instanceItem(this.n)),
      attachment(attachmentItem(this.n, this.n, { networkId, vni: 101, addresses })),
    ];
    host.beginSnapshot();
    host.change({ version: 1n, inSnapshot: true, items });
    host.complete(1n);
    this.pass();
    const known = [1, 2].map((n) => ({ prefix: `10.0.101.${n}/32`, hostAddress: `198.18.0.${n}`, wireId: n, groupSetId: 1 }));
    mappings.replace(101, piecesOf(known), 1n);
    this.pass();
  }

  pass(): void {
    this.#here(() => this.#reconciler.pass());
  }

  /** A tick of the agent, without the pass that follows it. */
  look(): { changed: boolean; standing: { deviceReady: boolean; tunnelReady: boolean; message: string } } {
    return { changed: this.#here(() => this.#reconciler.heed(this.#events.take())), standing: this.standing };
  }

  get standing() {
    return this.#reconciler.substrate.standing;
  }

  get device(): string {
    return hostDeviceName(this.n);
  }

  get guest(): string {
    return this.#instances.netnsPath(`i-${this.n}`);
  }

  async end(): Promise<void> {
    this.#events.close();
    this.#close();
    for (const { instanceId } of this.#instances.list()) await this.#instances.remove(instanceId);
  }

  #here<T>(fn: () => T): T {
    return linux.withNamespace(this.path, fn);
  }
}

const directory = mkdtempSync(join(tmpdir(), "plenum-repair-"));
const READY = { deviceReady: true, tunnelReady: true, message: "" };
let lab: Lab;
let left: Host;
let right: Host;

beforeAll(() => {
  willLeave({ kind: "directory", dir: directory });
  lab = new Lab();
  [left, right] = [new Host(lab, directory, 1, "clsact"), new Host(lab, directory, 2, "tcx")];
  for (const host of [left, right]) host.run();
});
afterAll(async () => {
  for (const host of [left, right]) await host?.end();
  lab?.dispose();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  for (const host of [left, right]) {
    host.look();
    host.pass();
    expect(host.look()).toEqual({ changed: false, standing: READY });
    host.lost.length = 0;
  }
  expect(await pings()).toBe(true);
});

const pings = async (...args: string[]): Promise<boolean> =>
  (await inNamespace(left.guest, "ping", "-q", "-c2", "-i0.1", "-W1", ...args, "10.0.101.2")).ok;
const set = (host: Host, name: string, change: linux.LinkChange): void =>
  linux.withNetlink(host.path, (nl) => linux.setLink(nl, linux.getLink(nl, name)!.ifindex, change));

test("a tunnel device that is set down is told of, and set up again", async () => {
  set(left, TUNNEL_DEVICE, { up: false });
  expect(await pings()).toBe(false);
  expect(left.look()).toMatchObject({ changed: true, standing: { deviceReady: true, tunnelReady: false } });
  left.pass();
  expect(left.standing).toEqual(READY);
  expect(left.lost).toEqual(["tunnel 1"]);
  expect(await pings()).toBe(true);
});

test("a tunnel device that is removed is made again, and its program with it", async () => {
  linux.withNetlink(right.path, (nl) => linux.deleteLink(nl, TUNNEL_DEVICE));
  expect(right.look()).toMatchObject({ changed: true, standing: { tunnelReady: false } });
  right.pass();
  expect(right.standing).toEqual(READY);
  expect(await pings()).toBe(true);
});

test("a tunnel without its program gets it again", async () => {
  takeProgram(right.path, right.bpffsDir, TUNNEL_DEVICE, "filter");
  expect(await pings()).toBe(false);
  expect(right.look()).toMatchObject({ changed: true, standing: { tunnelReady: false } });
  right.pass();
  expect(await pings()).toBe(true);
});

test("a substrate device without a carrier is told of until it has one; nothing of it is changed", async () => {
  linux.withNetlink(lab.substrate, (nl) => linux.setLink(nl, linux.getLink(nl, "h1")!.ifindex, { up: false }));
  const cut = { deviceReady: false, tunnelReady: true, message: expect.stringMatching(/^device u0.* no carrier/) };
  expect(left.look()).toMatchObject({ changed: true, standing: cut });
  left.pass();
  expect(left.standing).toMatchObject(cut);
  expect(await pings()).toBe(false);
  linux.withNetlink(lab.substrate, (nl) => linux.setLink(nl, linux.getLink(nl, "h1")!.ifindex, { up: true }));
  expect(left.look()).toMatchObject({ changed: true, standing: READY });
  await expect.poll(() => pings(), { timeout: 10_000 }).toBe(true);
  expect(left.lost).toEqual([]);
});

test("a substrate MTU below what guests were told is told of", () => {
  set(left, "u0", { mtu: 1400 });
  expect(left.look().standing).toMatchObject({ deviceReady: false, message: expect.stringContaining("MTU is 100 less") });
  set(left, "u0", { mtu: 1500 });
  left.look();
  left.pass();
  expect(left.standing).toEqual(READY);
});

test("a guest's device that is down or of another length is set right", async () => {
  for (const change of [{ up: false }, { mtu: 1000 }]) {
    set(left, left.device, change);
    expect(await pings("-s1300")).toBe(false);
    expect(left.look().changed).toBe(true);
    left.pass();
    expect(await pings("-s1300")).toBe(true);
  }
  expect(left.lost).toEqual(["device 1", "device 1"]);
});

test.each([
  ["clsact", "filter"],
  ["clsact", "all"],
  ["tcx", "filter"],
  ["tcx", "all"],
] as const)("a guest whose device lost its program (%s, %s) reaches nothing, and has it back within one look", async (mode, what) => {
  const host = mode === "clsact" ? left : right;
  takeProgram(host.path, host.bpffsDir, host.device, what);
  expect(await pings()).toBe(false);
  expect(host.look().changed).toBe(true);
  expect(host.lost).toEqual(["guard 1"]);
  host.pass();
  expect(await pings()).toBe(true);
  expect(host.look().changed).toBe(false);
});

test("without its program a guest reaches neither its host nor, through it, the substrate", async () => {
  takeProgram(left.path, left.bpffsDir, left.device, "all");
  linux.writeSysctlsIn(left.path, { "net.ipv4.ip_forward": 1 }); // as another program of the host may set it, for all devices
  const { gateway, gatewayMac } = attachmentItem(1, 1);
  const inGuest = <T>(fn: (nl: linux.NetlinkSocket, ifindex: number) => T): T =>
    linux.withNetlink(left.guest, (nl) => fn(nl, linux.getLink(nl, "eth0")!.ifindex));
  // With it no ARP is needed.
  const sendTo = (mac: string): void => inGuest((nl, ifindex) => linux.addNeighbour(nl, ifindex, gateway, mac));
  const echoes = async ({ path }: Host): Promise<number> => {
    const [names, values] = (await inNamespace(path, "cat", "/proc/net/snmp")).output
      .split("\n")
      .filter((line) => line.startsWith("Icmp:"));
    return Number(values?.split(" ")[names?.split(" ").indexOf("InEchos") ?? -1]);
  };
  const arrive = async (host: Host): Promise<boolean> => {
    const before = await echoes(host);
    await inNamespace(left.guest, "ping", "-q", "-c2", "-i0.1", "-W1", host.address);
    return (await echoes(host)) > before;
  };
  const answered = async (): Promise<boolean> => {
    await inNamespace(left.guest, "ping", "-q", "-c1", "-W1", left.address);
    return /lladdr/.test((await inNamespace(left.guest, "ip", "neighbour", "show", "to", left.address)).output);
  };
  const loosen = (key: string): void => linux.writeSysctlsIn(left.path, { [`net.ipv4.conf.${left.device}.${key}`]: 0 });
  // Somebody found out the MAC of the host's end: no source is believed.
  sendTo(linux.withNetlink(left.path, (nl) => linux.getLink(nl, left.device)!.mac));
  expect([await arrive(left), await arrive(right)]).toEqual([false, false]);
  // Another program of the host believes sources, on all devices (systemd does, on each new one): the router's MAC is nobody's.
  loosen("rp_filter");
  for (const mac of [gatewayMac, "ff:ff:ff:ff:ff:ff"]) {
    sendTo(mac);
    expect([mac, await arrive(left), await arrive(right)]).toEqual([mac, false, false]);
  }
  loosen("drop_unicast_in_l2_multicast"); // so the test can fail
  expect(await arrive(left)).toBe(true);
  set(left, left.device, { mac: gatewayMac });
  sendTo(gatewayMac);
  expect([await arrive(left), await arrive(right)]).toEqual([true, true]);
  inGuest((nl, ifindex) => linux.putRoute(nl, { to: `${left.address}/32`, ifindex }));
  expect(await answered()).toBe(false);
  loosen("arp_ignore");
  await expect.poll(answered, { timeout: 10_000 }).toBe(true);
});
