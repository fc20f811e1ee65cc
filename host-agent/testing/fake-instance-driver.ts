import type { InstanceDriver, InstanceSpec, InstanceStatus } from "../core/ports.ts";

/** What outlives the agent: give the same one to a second FakeInstanceDriver to play a restart. */
export interface FakeInstanceKernel {
  /** `deleted`: somebody took the namespace away. */
  instances: Map<string, { process: InstanceStatus["process"]; deleted?: boolean; dnsServers?: readonly string[]; identity?: string }>;
  nextPid: number;
}

export function fakeInstanceKernel(): FakeInstanceKernel {
  return { instances: new Map(), nextPid: 1000 };
}

type FaultyCall = "create" | "setDnsServers" | "setIdentity" | "start" | "remove" | "list";

export interface FakeInstanceDriverOptions {
  kernel?: FakeInstanceKernel;
  onExit?: (status: InstanceStatus) => void;
  /** Called first thing in each call, with its name; a test throws from it. */
  fault?: (call: FaultyCall) => void;
}

/** Instances that are only remembered. A process runs until `exitProcess` or `remove`. */
export class FakeInstanceDriver implements InstanceDriver {
  readonly kernel: FakeInstanceKernel;
  readonly #onExit: (status: InstanceStatus) => void;
  readonly #fault: (call: FaultyCall) => void;

  constructor(options: FakeInstanceDriverOptions = {}) {
    this.kernel = options.kernel ?? fakeInstanceKernel();
    this.#onExit = options.onExit ?? (() => {});
    this.#fault = options.fault ?? (() => {});
  }

  netnsPath(instanceId: string): string {
    return `/run/netns/fake-${instanceId}`;
  }

  create(spec: InstanceSpec): InstanceStatus {
    this.#fault("create");
    const { instances } = this.kernel;
    const instance = instances.get(spec.instanceId);
    if (instance === undefined) instances.set(spec.instanceId, { process: { state: "none" } });
    else if (instance.deleted === true) instances.set(spec.instanceId, { process: abandoned(instance.process) });
    return this.#status(spec.instanceId);
  }

  setDnsServers(instanceId: string, servers: readonly string[]): void {
    this.#fault("setDnsServers");
    const instance = this.kernel.instances.get(instanceId);
    if (instance === undefined) throw new Error(`${instanceId} has not been created`);
    instance.dnsServers = servers;
  }

  setIdentity(instanceId: string, identity: string): void {
    this.#fault("setIdentity");
    const instance = this.kernel.instances.get(instanceId);
    if (instance === undefined) throw new Error(`${instanceId} has not been created`);
    instance.identity = identity;
  }

  start(spec: InstanceSpec): InstanceStatus {
    this.#fault("start");
    const instance = this.kernel.instances.get(spec.instanceId);
    if (instance === undefined) throw new Error(`${spec.instanceId} has not been created`);
    if (spec.argv.length > 0 && instance.process.state !== "running") {
      instance.process = { state: "running", pid: this.kernel.nextPid++ };
    }
    return this.#status(spec.instanceId);
  }

  remove(instanceId: string): Promise<void> {
    try {
      this.#fault("remove");
    } catch (error) {
      return Promise.reject(error as Error);
    }
    this.kernel.instances.delete(instanceId);
    return Promise.resolve();
  }

  list(): InstanceStatus[] {
    this.#fault("list");
    return [...this.kernel.instances.keys()].map((instanceId) => {
      const status = this.#status(instanceId);
      return this.kernel.instances.get(instanceId)?.deleted === true ? { ...status, netnsPath: "" } : status;
    });
  }

  /** The process ends by itself. @param detail "exit code 3", "signal SIGKILL" */
  exitProcess(instanceId: string, detail: string): void {
    const instance = this.kernel.instances.get(instanceId);
    if (instance?.process.state !== "running") throw new Error(`${instanceId} runs no process`);
    instance.process = { state: "exited", detail };
    this.#onExit(this.#status(instanceId));
  }

  #status(instanceId: string): InstanceStatus {
    return {
      instanceId,
      netnsPath: this.netnsPath(instanceId),
      process: this.kernel.instances.get(instanceId)?.process ?? { state: "none" },
    };
  }
}

function abandoned(process: InstanceStatus["process"]): InstanceStatus["process"] {
  return process.state === "running" ? { state: "exited", detail: "killed: its network namespace had been deleted" } : process;
}
