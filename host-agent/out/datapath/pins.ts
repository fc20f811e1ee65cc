import { closeSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import * as libbpf from "./libbpf.ts";

const { ENOENT } = constants.errno;
/** 12 hexadecimal digits, as `SCHEMA` has. */
const IS_DIGEST = /^[0-9a-f]{12}$/;
/** What is on its way out: no one's any more. */
const GONE = "-gone";
/** What one set of maps holds of another's counts, before the other has gone (carried.ts). */
const CARRIED_WITH = "carried-with-";

export type Fds<N extends string> = Partial<Record<N, number>>;

/**
 * What is pinned below `<directory>/<schema>`: `maps/<name>`, `programs/<object>/<name>`, and `carried/<name>`, the counts of sets that
 * were there before. Renaming is atomic in a bpffs, and a set goes by being renamed first: half of one is never met.
 */
export class PinSet {
  readonly schema: string;
  readonly #parent: string;

  constructor(directory: string, schema: string) {
    this.#parent = directory;
    this.schema = schema;
  }

  get directory(): string {
    return join(this.#parent, this.schema);
  }
  get maps(): string {
    return join(this.directory, "maps");
  }
  get programs(): string {
    return join(this.directory, "programs");
  }
  get carried(): string {
    return join(this.directory, "carried");
  }

  /** Programs are pinned when the maps are filled (or were empty from the beginning): what has some can be taken over. */
  get isFilled(): boolean {
    return list(this.programs).some((object) => list(join(this.programs, object)).length > 0);
  }

  /** Where carried counts are made ready that will stand for those of `other` too, from `commitCarried` on. */
  draftCarried(): string {
    const draft = join(this.directory, "carried-draft");
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 });
    return draft;
  }

  /** At once the draft counts instead of the present carried counts and everything that `other` has; then both go. */
  commitCarried(other: PinSet): void {
    renameSync(join(this.directory, "carried-draft"), join(this.directory, CARRIED_WITH + other.schema));
    this.finish();
  }

  /** Does what is left of such a change, if one was interrupted. */
  finish(): void {
    for (const name of list(this.directory)) {
      if (!name.startsWith(CARRIED_WITH)) continue;
      new PinSet(this.#parent, name.slice(CARRIED_WITH.length)).remove();
      rmSync(this.carried, { recursive: true, force: true });
      renameSync(join(this.directory, name), this.carried);
    }
  }

  remove(): void {
    const gone = this.directory + GONE;
    rmSync(gone, { recursive: true, force: true });
    if (!existsSync(this.directory)) return;
    renameSync(this.directory, gone);
    rmSync(gone, { recursive: true });
  }
}

/** The sets of other schemas, after what an interrupted upgrade began has been finished. */
export function otherSets(directory: string, schema: string): PinSet[] {
  for (const name of list(directory)) if (name.endsWith(GONE)) rmSync(join(directory, name), { recursive: true });
  const all = (): PinSet[] =>
    list(directory)
      .filter((name) => IS_DIGEST.test(name))
      .map((name) => new PinSet(directory, name));
  for (const set of all()) set.finish();
  return all().filter((set) => set.schema !== schema);
}

/** Names in a directory; none if there is no such directory. */
export function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Those that are pinned. @throws KernelError */
export function getPinned<N extends string>(directory: string, names: readonly N[]): Fds<N> {
  const fds: Fds<N> = {};
  for (const name of names) {
    const fd = libbpf.objGet(join(directory, name));
    if (fd !== -ENOENT) fds[name] = libbpf.check(fd, `open the pin ${join(directory, name)}`);
  }
  return fds;
}

export function isComplete<N extends string>(fds: Fds<N>, names: readonly N[]): fds is Record<N, number> {
  return names.every((name) => fds[name] !== undefined);
}

export function closeAll(fds: Fds<string>): void {
  for (const fd of Object.values(fds)) if (fd !== undefined) closeSync(fd);
}
