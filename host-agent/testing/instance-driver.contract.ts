import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { InstanceDriver, InstanceSpec, InstanceStatus } from "../core/ports.ts";

export interface InstanceDriverHarness {
  driver: InstanceDriver;
  /** As a restarted agent would open it; the processes go on meanwhile. */
  reopen(): InstanceDriver;
  namespaceExists(path: string): boolean;
  processAlive(pid: number): boolean;
  /** The process of an instance ends by itself with exit code 3; returns once that can be seen. */
  end(instanceId: string): Promise<void>;
  /** Somebody else takes an instance's namespace away. */
  deleteNamespace(instanceId: string): void;
  dispose(): Promise<void>;
}

/** argv of a process that runs until told otherwise, and by the harness's `end` ends with code 3. */
export const LONG_RUNNING = ["sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.05; done"];

export function instanceExample(changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return { instanceId: "i-one", argv: LONG_RUNNING, env: { COLOUR: "blue" }, dnsServers: [], identity: "", ...changes };
}

function pidOf(status: InstanceStatus): number {
  if (status.process.state !== "running") throw new Error(`not running: ${JSON.stringify(status)}`);
  return status.process.pid;
}

/** What every InstanceDriver does. */
export function instanceDriverContract(name: string, harness: () => InstanceDriverHarness): void {
  describe(`${name} as InstanceDriver`, () => {
    let host: InstanceDriverHarness;
    beforeEach(() => {
      host = harness();
    });
    afterEach(() => host.dispose());

    it("creates a namespace and starts the process later, each once", () => {
      const created = host.driver.create(instanceExample());
      expect(created).toMatchObject({ instanceId: "i-one", process: { state: "none" } });
      expect(host.namespaceExists(created.netnsPath)).toBe(true);
      expect(host.driver.create(instanceExample())).toEqual(created);
      const started = host.driver.start(instanceExample());
      expect(host.processAlive(pidOf(started))).toBe(true);
      expect(host.driver.start(instanceExample())).toEqual(started);
      expect(host.driver.list()).toEqual([started]);
    });

    it("starts nothing where nothing is asked for", () => {
      const spec = instanceExample({ argv: [] });
      host.driver.create(spec);
      expect(host.driver.start(spec).process).toEqual({ state: "none" });
    });

    it("refuses to start what was not created", () => {
      expect(() => host.driver.start(instanceExample())).toThrow(/not been created/);
      expect(() => host.driver.setDnsServers("i-one", [])).toThrow(/not been created/);
      expect(() => host.driver.setIdentity("i-one", "")).toThrow(/not been created/);
    });

    it("ends the process and the namespace, and shrugs at what is not there", async () => {
      const { netnsPath } = host.driver.create(instanceExample());
      const pid = pidOf(host.driver.start(instanceExample()));
      host.driver.create(instanceExample({ instanceId: "i-two", argv: [] }));
      await Promise.all([host.driver.remove("i-one"), host.driver.remove("i-one")]);
      await host.driver.remove("i-absent");
      expect(host.processAlive(pid)).toBe(false);
      expect(host.namespaceExists(netnsPath)).toBe(false);
      expect(host.driver.list().map((status) => status.instanceId)).toEqual(["i-two"]);
    });

    it("sees how a process ended, and starts it again when asked", async () => {
      host.driver.create(instanceExample());
      const first = pidOf(host.driver.start(instanceExample()));
      await host.end("i-one");
      expect(host.driver.list()).toMatchObject([{ process: { state: "exited", detail: "exit code 3" } }]);
      const second = pidOf(host.driver.start(instanceExample()));
      expect(second).not.toBe(first);
      expect(host.processAlive(second)).toBe(true);
    });

    it("tells that a namespace is missing, makes it anew when asked, and removes what is left when not", async () => {
      const { netnsPath } = host.driver.create(instanceExample());
      const pid = pidOf(host.driver.start(instanceExample()));
      host.deleteNamespace("i-one");
      expect(host.driver.list()).toMatchObject([{ instanceId: "i-one", netnsPath: "" }]);
      const again = host.driver.create(instanceExample());
      expect(again).toMatchObject({ netnsPath, process: { state: "exited" } });
      expect(host.namespaceExists(netnsPath)).toBe(true);
      expect(host.driver.list()).toEqual([again]);
      host.deleteNamespace("i-one");
      await host.driver.remove("i-one");
      expect(host.processAlive(pid)).toBe(false);
      expect(host.driver.list()).toEqual([]);
    });

    it("is taken over by the agent's successor, process and all", async () => {
      host.driver.create(instanceExample());
      const started = host.driver.start(instanceExample());
      const successor = host.reopen();
      expect(successor.list()).toEqual([started]);
      expect(successor.create(instanceExample())).toEqual(started);
      expect(successor.start(instanceExample())).toEqual(started);
      await successor.remove("i-one");
      expect(host.processAlive(pidOf(started))).toBe(false);
      expect(successor.list()).toEqual([]);
    });
  });
}
