import { type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import * as linux from "#lib/linux/index.ts";
import type { InstanceDriver, InstanceSpec, InstanceStatus } from "../../core/ports.ts";
import { type ApiDoors, makeView, type View, VIEW } from "./api-doors.ts";
import { findLaunchers, instanceUid, type Launchers, startGuestProcess } from "./guest-process.ts";
import { boundLog } from "./instance-log.ts";
import { RESOLVER_FILE, writeResolverFile } from "./resolver-file.ts";
import { type InstanceRecord, InstanceState } from "./instance-state.ts";
import { describeExit, identify, processesOf, stateOf } from "./process-identity.ts";

/** How long a process may take to end after TERM before it is killed. */
const TERM_MILLISECONDS = 5_000;
/** After KILL only the kernel can be slow. */
const KILL_MILLISECONDS = 5_000;
/**
 * Adopted processes, and those that an instance's process has started, are no children of ours: their end comes as no event, so it is
 * looked for, at first this soon and then twice as long each time, up to the limit.
 */
const FIRST_POLL_MILLISECONDS = 1;
const POLL_MILLISECONDS = 50;

/** What can be part of a file's name. */
const INSTANCE_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$/;

export interface NetnsDriverOptions {
  /** Unique to host and run: namespaces are /run/netns/<prefix>-<short instance id>. */
  prefix: string;
  /** Kept across restarts of the agent: one state file and one log per instance. */
  stateDir: string;
  /** Told when a process that this agent started ends; adopted ones are seen by `list`. */
  onExit?: (status: InstanceStatus) => void;
  /** Told of each instance whose state file cannot be understood. */
  onUnreadable?: (instanceId: string, error: Error) => void;
  /** What gives instances that act as principals their way to the API; absent: none has one. */
  doors?: Pick<ApiDoors, "set" | "remove">;
  /** Shorter in tests. */
  termMilliseconds?: number;
}

/**
 * Instances as network namespaces, with a process in them where one is asked for (D24). The namespace isolates the network only:
 * processes share the host's files, but for /etc/resolv.conf and /run/plenum, and process table, without privileges and each instance as a user of its own.
 */
export class NetnsInstanceDriver implements InstanceDriver {
  readonly #prefix: string;
  readonly #state: InstanceState;
  readonly #onExit: (status: InstanceStatus) => void;
  readonly #termMilliseconds: number;
  readonly #doors: NetnsDriverOptions["doors"];
  readonly #launchers: Launchers;
  readonly #instances = new Map<string, InstanceRecord>();
  readonly #removals = new Map<string, Promise<void>>();

  /**
   * Takes over what `stateDir` tells of. Of an instance whose file cannot be understood, the namespace follows from its id; whatever
   * runs in it is ended before a process is started there. @throws Error if util-linux is missing
   */
  constructor(options: NetnsDriverOptions) {
    this.#prefix = options.prefix;
    this.#onExit = options.onExit ?? (() => {});
    this.#termMilliseconds = options.termMilliseconds ?? TERM_MILLISECONDS;
    this.#doors = options.doors;
    this.#launchers = findLaunchers();
    this.#state = new InstanceState(options.stateDir);
    const unreadable: string[] = [];
    const loaded = this.#state.load((instanceId, error) => {
      unreadable.push(instanceId);
      options.onUnreadable?.(instanceId, error);
    });
    for (const instance of loaded) this.#instances.set(instance.instanceId, instance);
    for (const instanceId of unreadable.filter((name) => INSTANCE_ID.test(name)))
      this.#keep({ instanceId, namespace: this.#namespaceName(instanceId), starting: true });
  }

  /** Where an instance's namespace is or would be. @throws RangeError for what is no instance id */
  netnsPath(instanceId: string): string {
    return linux.namespacePath(this.#instances.get(instanceId)?.namespace ?? this.#namespaceName(instanceId));
  }

  /** @throws Error while the instance is being removed; RangeError for what is no instance id */
  create(spec: InstanceSpec): InstanceStatus {
    const { instanceId } = spec;
    if (this.#removals.has(instanceId)) throw new Error(`${instanceId} is being removed`);
    let instance = this.#instances.get(instanceId);
    if (instance === undefined) {
      // Written first: an interrupted creation is known, and so is removed.
      instance = this.#keep({ instanceId, namespace: this.#namespaceName(instanceId) });
    }
    const { namespace } = instance;
    if (linux.ensureNamedNamespace(namespace)) this.#abandonProcess(instance);
    // Inside, the process plays a machine of its own: low ports and ping without capabilities. Each time, in case the last was interrupted.
    linux.writeSysctlsIn(linux.namespacePath(namespace), {
      "net.ipv4.ip_unprivileged_port_start": 0,
      "net.ipv4.ping_group_range": "0 2147483647",
    });
    return this.#status(instanceId);
  }

  setDnsServers(instanceId: string, servers: readonly string[]): void {
    if (!this.#instances.has(instanceId) || this.#removals.has(instanceId)) throw new Error(`${instanceId} has not been created`);
    writeResolverFile(this.#state.resolverPath(instanceId), servers);
  }

  setIdentity(instanceId: string, identity: string): void {
    if (!this.#instances.has(instanceId) || this.#removals.has(instanceId)) throw new Error(`${instanceId} has not been created`);
    if (this.#doors === undefined && identity !== "") throw new Error("this driver was given no way to the API");
    this.#doors?.set(instanceId, this.#view(instanceId), identity);
  }

  /**
   * A process that has ended is started again: whether it should be is the caller's to decide.
   * @throws Error before `create`; while processes of a start that an earlier agent did not live to write down are being killed
   */
  start(spec: InstanceSpec): InstanceStatus {
    const { instanceId, argv, env, dnsServers } = spec;
    const instance = this.#instances.get(instanceId);
    if (instance === undefined || this.#removals.has(instanceId)) throw new Error(`${instanceId} has not been created`);
    if (argv.length === 0 || this.#status(instanceId).process.state === "running") return this.#status(instanceId);
    if (instance.starting === true) endUnrecorded(instance);
    const resolverPath = this.#state.resolverPath(instanceId);
    if (!existsSync(resolverPath)) writeResolverFile(resolverPath, dnsServers); // else setDnsServers has
    // What is not there nothing can take the place of; without servers of its own, a process does not miss it.
    const mountable = existsSync(RESOLVER_FILE);
    if (!mountable && dnsServers.length > 0)
      throw new Error(`this host has no ${RESOLVER_FILE}, which the instance's own takes the place of: make an empty one`);
    const { namespace } = instance;
    this.#keep({ instanceId, namespace, starting: true });
    const namespacePath = linux.namespacePath(namespace);
    const logPath = this.#state.logPath(instanceId);
    const view = this.#view(instanceId);
    makeView(view);
    mkdirSync(VIEW, { recursive: true, mode: 0o755 }); // where it is mounted over
    const child = startGuestProcess(this.#launchers, {
      ...{ instanceId, argv, env, namespacePath, logPath },
      mounts: [{ from: view.directory, over: VIEW }, ...(mountable ? [{ from: resolverPath, over: RESOLVER_FILE }] : [])],
    });
    this.#watch(child, instanceId);
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    // Without a pid nothing runs and `error` follows; it may be ours to say before that event comes.
    this.#keep({ instanceId, namespace, process: identity, ended: identity === undefined ? "could not be started" : undefined });
    return this.#status(instanceId);
  }

  remove(instanceId: string): Promise<void> {
    const instance = this.#instances.get(instanceId);
    if (instance === undefined) return Promise.resolve();
    const running = this.#removals.get(instanceId);
    if (running !== undefined) return running;
    const removal = this.#remove(instance).finally(() => this.#removals.delete(instanceId));
    this.#removals.set(instanceId, removal);
    return removal;
  }

  /**
   * Also bounds the logs (LOG_LIMIT_BYTES): call it now and then. An instance without its namespace (somebody deleted it, or the machine
   * started anew) has the path "": `create` makes it whole, `remove` takes away what is left.
   */
  list(): InstanceStatus[] {
    return [...this.#instances.values()].map(({ instanceId, namespace }) => {
      boundLog(this.#state.logPath(instanceId));
      const status = this.#status(instanceId);
      return linux.namespaceExists(namespace) ? status : { ...status, netnsPath: "" };
    });
  }

  #namespaceName(instanceId: string): string {
    if (!INSTANCE_ID.test(instanceId)) throw new RangeError(`not an instance id: ${JSON.stringify(instanceId)}`);
    // The end of a UUIDv7 is its random part; its beginning is the time.
    return `${this.#prefix}-${instanceId.length <= 14 ? instanceId : instanceId.slice(-12)}`;
  }

  #view(instanceId: string): View {
    return { directory: this.#state.viewPath(instanceId), gid: instanceUid(instanceId) };
  }

  #keep(instance: InstanceRecord): InstanceRecord {
    this.#state.save(instance);
    this.#instances.set(instance.instanceId, instance);
    return instance;
  }

  #status(instanceId: string): InstanceStatus {
    const instance = this.#instances.get(instanceId);
    return { instanceId, netnsPath: this.netnsPath(instanceId), process: instance ? this.#processOf(instance) : { state: "none" } };
  }

  #processOf(instance: InstanceRecord): InstanceStatus["process"] {
    if (instance.ended !== undefined) return { state: "exited", detail: instance.ended };
    if (instance.process === undefined) return { state: "none" };
    const now = stateOf(instance.process);
    if (now.state === "running") return { state: "running", pid: instance.process.pid };
    this.#ended(instance, now.detail);
    return { state: "exited", detail: now.detail };
  }

  /** Nothing rests on its being written: where the disk takes nothing, a successor sees for itself that the process is no more. */
  #ended(instance: InstanceRecord, detail: string): void {
    const known = { ...instance, ended: detail };
    this.#instances.set(instance.instanceId, known);
    try {
      this.#state.update(known);
    } catch (error) {
      if (!linux.hasCode(error, "ENOSPC", "EDQUOT", "EROFS", "EIO")) throw error;
    }
  }

  #watch(child: ChildProcess, instanceId: string): void {
    const ended = (detail: string): void => {
      const instance = this.#instances.get(instanceId);
      if (instance === undefined || instance.process?.pid !== child.pid) return;
      this.#ended(instance, detail);
      this.#onExit(this.#status(instanceId));
    };
    child.once("exit", (code, signal) => ended(describeExit(code, signal)));
    child.once("error", (error) => ended(error.message));
    child.unref();
  }

  /** The namespace is new, so a process from before it has no network any more and would never get one. */
  #abandonProcess(instance: InstanceRecord): void {
    if (instance.process === undefined || stateOf(instance.process).state !== "running") return;
    signal(-instance.process.pid, "SIGKILL");
    this.#keep({ ...instance, ended: "killed: its network namespace had been deleted" });
  }

  async #remove(instance: InstanceRecord): Promise<void> {
    const { instanceId } = instance;
    this.#doors?.remove(instanceId);
    await this.#endProcesses(instance);
    linux.deleteNamedNamespace(instance.namespace);
    this.#state.forget(instanceId);
    this.#instances.delete(instanceId);
  }

  async #endProcesses(instance: InstanceRecord): Promise<void> {
    const inode = namespaceInode(instance);
    const living = (): number[] => {
      const pids = new Set(processesIn(inode, instance));
      // The process itself even if its namespace lost its name; never by its number alone.
      if (instance.process !== undefined && stateOf(instance.process).state === "running") pids.add(instance.process.pid);
      return [...pids].filter((pid) => isAlive(pid));
    };
    for (const [name, limit] of [["SIGTERM", this.#termMilliseconds] as const, ["SIGKILL", KILL_MILLISECONDS] as const]) {
      const deadline = performance.now() + limit;
      let pids = living();
      for (const pid of pids) signal(pid, name);
      for (let pause = FIRST_POLL_MILLISECONDS; pids.length > 0 && performance.now() < deadline; pause *= 2) {
        await delay(Math.min(pause, POLL_MILLISECONDS));
        pids = living();
        // One that was just being forked when the others were killed.
        if (name === "SIGKILL") for (const pid of pids) signal(pid, name);
      }
      if (pids.length === 0) return;
    }
    throw new Error(`${instance.instanceId}: processes ${living().join(", ")} do not end`);
  }
}

function namespaceInode(instance: InstanceRecord): string | undefined {
  if (!linux.namespaceExists(instance.namespace)) return undefined;
  return linux.withNamespace(linux.namespacePath(instance.namespace), () => readlinkSync(linux.OWN_NAMESPACE));
}

function processesIn(inode: string | undefined, { instanceId }: InstanceRecord): number[] {
  return inode === undefined ? [] : processesOf(inode, instanceUid(instanceId));
}

/** @throws Error if there were any: their ending takes a moment */
function endUnrecorded(instance: InstanceRecord): void {
  const pids = processesIn(namespaceInode(instance), instance).filter((pid) => isAlive(pid));
  for (const pid of pids) signal(pid, "SIGKILL");
  if (pids.length > 0) throw new Error(`${instance.instanceId}: processes ${pids.join(", ")} of an interrupted start are being ended`);
}

/** Ended and waiting for its parent to notice counts as gone. */
function isAlive(pid: number): boolean {
  const identity = identify(pid);
  return identity !== undefined && stateOf(identity).state === "running";
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!linux.hasCode(error, "ESRCH")) throw error;
  }
}
