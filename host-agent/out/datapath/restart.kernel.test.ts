import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { inNamespace, type Outcome } from "../../testing/guest-shell.ts";
import { buildBpf, SCHEMA, type AttachMode } from "./index.ts";
import { u32 } from "./record.ts";
import { withMap } from "./testing/flows.ts";
import { dropsOf, Lab, type LabGuest, type LabHost } from "./testing/lab.ts";

const PINGS = 200;

describe.each(["tcx", "clsact"] as const)("with %s", (attach: AttachMode) => {
  let lab: Lab;
  let a: LabHost;
  let one: LabGuest;
  let far: LabGuest;
  let directory: string;

  beforeEach(() => {
    lab = new Lab();
    a = lab.host("a", "198.18.0.1", { attach });
    const b = lab.host("b", "198.18.0.2", { attach });
    one = lab.openGuest(a, "10.0.0.1");
    far = lab.openGuest(b, "10.0.0.2");
    directory = mkdtempSync(join(tmpdir(), "plenum-object-"));
  });
  afterEach(() => {
    lab.dispose();
    rmSync(directory, { recursive: true });
  });

  /** A hundred echoes a second for two seconds. */
  function pinging(): Promise<Outcome> {
    return inNamespace(one.path, "ping", "-c", String(PINGS), "-i", "0.01", "-W", "1", "-q", far.address);
  }

  async function startAgent(): Promise<ChildProcess> {
    const script = join(import.meta.dirname, "testing/agent-process.ts");
    const argv = JSON.stringify([a.options, one.endpoint.ifindex]);
    const agent = spawn("nsenter", [`--net=${a.path}`, process.execPath, script, argv], { stdio: ["ignore", "pipe", "inherit"] });
    await once(agent.stdout, "data");
    return agent;
  }

  async function kill(agent: ChildProcess): Promise<void> {
    const gone = once(agent, "exit");
    agent.kill("SIGKILL");
    await gone;
  }

  /** A build that differs in its bytes and in nothing else. */
  function otherObject(): string {
    const path = join(directory, "other.bpf.o");
    copyFileSync(buildBpf().objectPath, path);
    appendFileSync(path, "\n");
    return path;
  }

  test("killing the agent and starting it again loses no packet, and it finds all as it was", async () => {
    const before = a.datapath.actual();
    a.datapath.close();
    let agent = await startAgent();
    const pings = pinging();
    for (let round = 0; round < 3; round++) {
      await kill(agent);
      agent = await startAgent();
    }
    expect((await pings).output).toContain(`${PINGS} received, 0% packet loss`);
    await kill(agent);
    lab.reopen(a);
    expect(a.datapath.actual()).toEqual(before);
    a.datapath.closeEndpoint(one.endpoint.wireId);
    expect((await inNamespace(one.path, "ping", "-c", "1", "-W", "1", far.address)).ok, "and can still close").toBe(false);
  });

  test("what a kill left between an endpoint and the index of devices is made whole", async () => {
    const reaches = async (): Promise<boolean> => (await inNamespace(one.path, "ping", "-c", "1", "-W", "1", far.address)).ok;
    const ports = (): [number, number][] =>
      withMap(a, "ports", (map) => [...map.entries()].map(([key, value]) => [key.readUInt32LE(), value.readUInt32LE()]));
    const { ifindex, wireId } = one.endpoint;
    expect([await reaches(), ports()]).toEqual([true, [[ifindex, wireId]]]);
    withMap(a, "ports", (map) => {
      map.delete(u32(ifindex));
      map.put(u32(ifindex + 1_000), u32(wireId));
      map.put(u32(ifindex + 1_001), u32(0xdead));
    });
    expect(await reaches(), "as the kill left it").toBe(false);
    lab.reopen(a);
    expect([await reaches(), ports()]).toEqual([true, [[ifindex, wireId]]]);
  });

  test("a new object takes the old one's place under traffic and keeps maps and counters", async () => {
    const programs = (): string[] => readdirSync(join(a.options.bpffsDir, SCHEMA, "programs"));
    const old = programs();
    const pings = pinging();
    lab.reopen(a, { objectPath: otherObject() });
    linux.withNamespace(a.path, () => a.datapath.guardDevice(one.endpoint.ifindex));
    expect((await pings).output).toContain(`${PINGS} received, 0% packet loss`);
    expect(programs()).toHaveLength(1);
    expect(programs()).not.toEqual(old);
    const meter = a.datapath.readMeters().find((m) => m.direction === "egress");
    expect(meter?.packets).toBe(BigInt(PINGS));
  });

  test("another schema's pins go when the new programs run", () => {
    const old = join(a.options.bpffsDir, "0123456789ab");
    mkdirSync(join(old, "maps"), { recursive: true });
    lab.reopen(a);
    expect(readdirSync(a.options.bpffsDir).sort()).toEqual([SCHEMA, "links"].sort());
  });

  test("a device that is gone leaves no pin behind", () => {
    const links = (): string[] => readdirSync(join(a.options.bpffsDir, "links"));
    const before = links().length;
    a.datapath.closeEndpoint(one.endpoint.wireId);
    linux.withNetlink(a.path, (nl) => linux.deleteLink(nl, one.hostDevice));
    lab.openGuest(a, "10.0.0.3");
    expect(links()).toHaveLength(before);
  });

  test("a device that is made anew under the same name gets the program again", async () => {
    linux.withNetlink(a.path, (nl) => linux.deleteLink(nl, one.hostDevice));
    a.datapath.closeEndpoint(one.endpoint.wireId);
    lab.reopen(a);
    const again = lab.openGuest(a, "10.0.0.1");
    expect((await inNamespace(again.path, "ping", "-c", "1", "-W", "1", far.address)).ok).toBe(true);
    expect(dropsOf(a, 0)).toEqual({});
  });
});
