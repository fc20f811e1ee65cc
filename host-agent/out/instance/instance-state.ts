import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const record = z.object({
  instanceId: z.string(),
  /** Name under /run/netns. */
  namespace: z.string(),
  /** A start was begun and its end is not known: a process of it may run that nobody wrote down. */
  starting: z.boolean().optional(),
  /** What was started last, if anything was. */
  process: z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() }).optional(),
  /** How that ended, once known. */
  ended: z.string().optional(),
});

/** What an agent must remember of an instance to take it over after a restart. */
export type InstanceRecord = z.infer<typeof record>;

const SUFFIX = ".json";
const RESOLVER_SUFFIX = ".resolv.conf";
const VIEW_SUFFIX = ".view";

/** One file per instance, replaced as a whole, so that a crash leaves the old one or the new one. */
export class InstanceState {
  readonly #dir: string;

  /** @param dir made if absent, 0700 (what instances print is theirs) */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  /**
   * An empty file counts as none: we never write one, but a power failure can leave it, after which no process is left either. That
   * is why `save` need not wait for the disk.
   *
   * One that cannot be understood is set aside as `<instance>.json.unreadable`, and the caller is told: of its instance only the id is
   * known, the others are not to wait for it.
   */
  load(unreadable: (instanceId: string, error: Error) => void): InstanceRecord[] {
    const files = readdirSync(this.#dir).filter((file) => file.endsWith(SUFFIX));
    return files.flatMap((file) => {
      const path = join(this.#dir, file);
      const text = readFileSync(path, "utf8");
      if (text === "") return [];
      try {
        return record.parse(JSON.parse(text));
      } catch (cause) {
        renameSync(path, `${path}.unreadable`);
        unreadable(file.slice(0, -SUFFIX.length), new Error(`instance state ${path} cannot be read; set aside as .unreadable`, { cause }));
        return [];
      }
    });
  }

  save(instance: InstanceRecord): void {
    const path = this.#path(instance.instanceId);
    writeFileSync(`${path}.tmp`, JSON.stringify(instance), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  /** Like save, unless the instance has been forgotten meanwhile: late news must not bring it back. */
  update(instance: InstanceRecord): void {
    if (existsSync(this.#path(instance.instanceId))) this.save(instance);
  }

  forget(instanceId: string): void {
    const suffixes = [`${SUFFIX}.tmp`, `${SUFFIX}.unreadable`, ".log", ".log.1", RESOLVER_SUFFIX, VIEW_SUFFIX, SUFFIX];
    for (const suffix of suffixes) rmSync(join(this.#dir, `${instanceId}${suffix}`), { force: true, recursive: suffix === VIEW_SUFFIX });
  }

  logPath(instanceId: string): string {
    return join(this.#dir, `${instanceId}.log`);
  }

  /** What its processes see as /etc/resolv.conf. */
  resolverPath(instanceId: string): string {
    return join(this.#dir, `${instanceId}${RESOLVER_SUFFIX}`);
  }

  /** The directory that its processes see as the place of what is for them alone (ApiDoors). */
  viewPath(instanceId: string): string {
    return join(this.#dir, `${instanceId}${VIEW_SUFFIX}`);
  }

  #path(instanceId: string): string {
    return join(this.#dir, `${instanceId}${SUFFIX}`);
  }
}
