import type { Attempts } from "./attempts.ts";
import { sameTexts } from "./convert.ts";
import type { InstanceDriver, InstanceSpec, InstanceStatus } from "./ports.ts";
import { DeltaTracker } from "./tracker.ts";

/** An instance as the host has it. */
export interface ActualInstance {
  status: InstanceStatus;
  /** Its process was started once, if it has one. One that has ended is not started again. */
  started: boolean;
  /** Whom its processes ask for names; undefined: not told since this agent runs. */
  dnsServers: readonly string[] | undefined;
  /** As whom they may call the API; undefined: not told since this agent runs. */
  identity: string | undefined;
}

const UNTOLD = { dnsServers: undefined, identity: undefined };

/** Namespaces and processes of instances. */
export class Instances {
  readonly tracker = new DeltaTracker<string, InstanceSpec, ActualInstance>(
    // A process does not change while it runs; one that was not started yet may be missing, or what it is told is to be another.
    (spec, actual) => (actual.started || spec.argv.length === 0) && isTold(spec, actual),
  );
  readonly #driver: InstanceDriver;
  readonly #attempts: Attempts;
  readonly #onRemoved: () => void;
  readonly #removing = new Set<string>();

  /** `onRemoved`: a removal has ended, well or badly; another pass has something to do. */
  constructor(driver: InstanceDriver, attempts: Attempts, onRemoved: () => void) {
    this.#driver = driver;
    this.#attempts = attempts;
    this.#onRemoved = onRemoved;
  }

  /** Takes over what a predecessor left: an interrupted creation is made whole by creating it again. */
  adopt(): void {
    for (const status of this.#driver.list()) this.tracker.doubt(status.instanceId, { status, started: wasStarted(status), ...UNTOLD });
  }

  /** Reads what the host has. Returns the ids of those whose status changed. One whose namespace is gone (no path) is to be made again. */
  observe(): string[] {
    const changed: string[] = [];
    const seen = new Set<string>();
    for (const status of this.#driver.list()) {
      seen.add(status.instanceId);
      if (this.#removing.has(status.instanceId)) continue;
      const before = this.tracker.actual(status.instanceId);
      if (before === undefined || sameStatus(before.status, status)) continue;
      changed.push(status.instanceId);
      const now = { ...before, status, started: before.started || wasStarted(status) };
      if (status.netnsPath === "") this.tracker.doubt(status.instanceId, now);
      else this.tracker.present(status.instanceId, now);
    }
    for (const [id] of [...this.tracker.possibleEntries()]) {
      if (seen.has(id) || this.#removing.has(id)) continue;
      this.tracker.absent(id);
      changed.push(id);
    }
    return changed;
  }

  /** Namespaces of what is wanted. */
  create(): void {
    for (const [id, spec] of this.tracker.pendingPuts()) {
      if (this.tracker.actual(id) !== undefined || this.#removing.has(id)) continue;
      const none = {
        status: { instanceId: id, netnsPath: "", process: { state: "none" as const } },
        started: false,
        ...UNTOLD,
      };
      const tried = this.tracker.possible(id) ?? none;
      this.#attempts.run(createKey(id), () => {
        this.tracker.doubt(id, tried);
        const status = this.#driver.create(spec);
        this.tracker.present(id, { status, started: wasStarted(status), ...UNTOLD });
      });
    }
  }

  /** Whom the processes of those that are there ask for names. */
  tellDnsServers(): void {
    for (const [id, spec] of this.tracker.pendingPuts()) {
      const actual = this.tracker.actual(id);
      if (actual === undefined || asksSame(spec, actual)) continue;
      this.#attempts.run(dnsKey(id), () => {
        this.tracker.present(id, { ...actual, dnsServers: undefined }); // a call that fails may have done it
        this.#driver.setDnsServers(id, spec.dnsServers);
        this.tracker.present(id, { ...actual, dnsServers: spec.dnsServers });
      });
    }
  }

  /** As whom the processes of those that are there may call the API. */
  tellIdentity(): void {
    for (const [id, spec] of this.tracker.pendingPuts()) {
      const actual = this.tracker.actual(id);
      if (actual === undefined || spec.identity === actual.identity) continue;
      this.#attempts.run(identityKey(id), () => {
        this.tracker.present(id, { ...actual, identity: undefined }); // a call that fails may have done it
        this.#driver.setIdentity(id, spec.identity);
        this.tracker.present(id, { ...actual, identity: spec.identity });
      });
    }
  }

  /** Whether its processes ask whom they are to ask; true of an instance that is not to be there. */
  asksAsWanted(id: string): boolean {
    const spec = this.tracker.wanted(id);
    const actual = this.tracker.actual(id);
    return spec === undefined || (actual !== undefined && asksSame(spec, actual));
  }

  /** Processes of those whose interfaces are all there. */
  start(ready: (instanceId: string) => boolean): void {
    for (const [id, spec] of this.tracker.pendingPuts()) {
      const actual = this.tracker.actual(id);
      if (actual === undefined || actual.started || !isTold(spec, actual) || !ready(id)) continue;
      this.#attempts.run(startKey(id), () => this.tracker.present(id, { ...actual, status: this.#driver.start(spec), started: true }));
    }
  }

  /** What is not wanted and has no interface any more. Ends after the pass. */
  remove(free: (instanceId: string) => boolean): void {
    for (const [id, actual] of this.tracker.pendingDeletes()) {
      if (this.#removing.has(id) || !free(id)) continue;
      const step = (): void => {
        // Takes away its processes and its way to the API first: of one that fails, nothing of that may be left.
        this.tracker.doubt(id, { ...actual, ...UNTOLD });
        const removal = this.#driver.remove(id);
        this.#removing.add(id);
        removal.then(
          () => this.#removed(id, () => this.tracker.absent(id)),
          (error: unknown) => this.#removed(id, () => this.#attempts.fail(removeKey(id), error)),
        );
      };
      this.#attempts.run(removeKey(id), step);
    }
  }

  /** Why an instance is not as wanted, if something failed. */
  failure(id: string): string | undefined {
    return keysOf(id)
      .map((key) => this.#attempts.message(key))
      .find((message) => message !== undefined);
  }

  /** Its wanted state has changed: what failed may be tried at once. */
  touched(id: string): void {
    for (const key of keysOf(id)) this.#attempts.forget(key);
  }

  #removed(id: string, then: () => void): void {
    this.#removing.delete(id);
    then();
    this.#onRemoved();
  }
}

const createKey = (id: string): string => `instance ${id}`;
const startKey = (id: string): string => `process of ${id}`;
const removeKey = (id: string): string => `removal of ${id}`;
const dnsKey = (id: string): string => `DNS servers of ${id}`;
const identityKey = (id: string): string => `identity of ${id}`;
const keysOf = (id: string): string[] => [createKey(id), dnsKey(id), identityKey(id), startKey(id), removeKey(id)];

function asksSame(spec: InstanceSpec, actual: ActualInstance): boolean {
  return actual.dnsServers !== undefined && sameTexts(spec.dnsServers, actual.dnsServers);
}

function isTold(spec: InstanceSpec, actual: ActualInstance): boolean {
  return asksSame(spec, actual) && spec.identity === actual.identity;
}

function wasStarted(status: InstanceStatus): boolean {
  return status.process.state !== "none";
}

function sameStatus(a: InstanceStatus, b: InstanceStatus): boolean {
  return a.netnsPath === b.netnsPath && JSON.stringify(a.process) === JSON.stringify(b.process);
}
