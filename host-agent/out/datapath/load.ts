import { createHash } from "node:crypto";
import { closeSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { KernelError } from "#lib/linux/index.ts";
import { BpfMap, type MapName } from "./bpf-map.ts";
import { describeLayout } from "./describe-layout.ts";
import { MAPS, SCHEMA } from "./layout.gen.ts";
import * as libbpf from "./libbpf.ts";

export const PROGRAMS = ["from_instance", "from_tunnel"] as const;
export type ProgramName = (typeof PROGRAMS)[number];

const MAP_NAMES = Object.keys(MAPS) as MapName[];
const LOG_SIZE = 1 << 20;
const { ENOENT } = constants.errno;

/** Maps and programs in the kernel, by descriptor. */
export interface Loaded {
  maps: Record<MapName, BpfMap>;
  programs: Record<ProgramName, number>;
}

/**
 * Adopts what is pinned below `bpffsDir` for this object; loads and pins what is not. Maps are kept by the schema's hash, programs by
 * the object's: a changed program with unchanged maps is loaded against the pinned maps (D21).
 *
 * @throws Error if the object does not match the generated layout, or with the verifier's last words; KernelError otherwise
 */
export function loadOrAdopt(bpffsDir: string, objectPath: string): Loaded {
  const object = readFileSync(objectPath);
  const { schema } = describeLayout(object);
  if (schema !== SCHEMA) throw new Error(`${objectPath} has schema ${schema}, this agent has ${SCHEMA}: they are of different versions`);
  const mapsDir = join(bpffsDir, SCHEMA, "maps");
  const programsDir = join(bpffsDir, SCHEMA, "programs", digest(object));
  mkdirSync(mapsDir, { recursive: true, mode: 0o700 });
  mkdirSync(programsDir, { recursive: true, mode: 0o700 });

  const maps = getPinned(mapsDir, MAP_NAMES);
  const programs = getPinned(programsDir, PROGRAMS);
  if (isComplete(maps, MAP_NAMES) && isComplete(programs, PROGRAMS)) return { maps: wrap(maps), programs };
  closeAll(programs);
  return load(objectPath, { mapsDir, programsDir }, maps);
}

/** Descriptors only: what is pinned or attached stays. */
export function closeLoaded({ maps, programs }: Loaded): void {
  for (const map of Object.values(maps)) map.close();
  closeAll(programs);
}

/** Unpins programs of other objects, and everything of other schemas; whoever still runs a program keeps it until it is swapped. */
export function forgetOthers(bpffsDir: string, objectPath: string): void {
  const programs = join(bpffsDir, SCHEMA, "programs");
  const own = digest(readFileSync(objectPath));
  for (const other of readdirSync(programs)) if (other !== own) rmSync(join(programs, other), { recursive: true });
  for (const other of readdirSync(bpffsDir))
    if (IS_DIGEST.test(other) && other !== SCHEMA) rmSync(join(bpffsDir, other), { recursive: true });
}

/** A pin directory's name: 12 hexadecimal digits, as `SCHEMA` has. */
const IS_DIGEST = /^[0-9a-f]{12}$/;

function digest(object: Buffer): string {
  return createHash("sha256").update(object).digest("hex").slice(0, 12);
}

type Fds<N extends string> = Partial<Record<N, number>>;

function getPinned<N extends string>(dir: string, names: readonly N[]): Fds<N> {
  const fds: Fds<N> = {};
  for (const name of names) {
    const fd = libbpf.objGet(join(dir, name));
    if (fd !== -ENOENT) fds[name] = libbpf.check(fd, `open the pin ${join(dir, name)}`);
  }
  return fds;
}

function isComplete<N extends string>(fds: Fds<N>, names: readonly N[]): fds is Record<N, number> {
  return names.every((name) => fds[name] !== undefined);
}

function closeAll(fds: Fds<string>): void {
  for (const fd of Object.values(fds)) if (fd !== undefined) closeSync(fd);
}

function wrap(fds: Record<MapName, number>): Record<MapName, BpfMap> {
  return Object.fromEntries(MAP_NAMES.map((name) => [name, new BpfMap(name, fds[name])])) as Record<MapName, BpfMap>;
}

function load(objectPath: string, dirs: { mapsDir: string; programsDir: string }, pinned: Fds<MapName>): Loaded {
  const opened = openObject(objectPath, pinned, PROGRAMS);
  try {
    const maps = Object.fromEntries(
      MAP_NAMES.map((name) => [name, pinned[name] ?? pinNew(opened.mapFd(name), join(dirs.mapsDir, name))]),
    ) as Record<MapName, number>;
    const programs = Object.fromEntries(
      PROGRAMS.map((name) => {
        const path = join(dirs.programsDir, name);
        rmSync(path, { force: true }); // half a pair, from a crash while pinning
        return [name, pinNew(opened.programFd(name), path)];
      }),
    ) as Record<ProgramName, number>;
    return { maps: wrap(maps), programs };
  } finally {
    opened.close();
  }
}

function pinNew(fd: number, path: string): number {
  libbpf.check(libbpf.objPin(fd, path), `pin ${path}`);
  return libbpf.duplicateFd(fd);
}

/** A loaded object; its descriptors end with `close`. */
export interface OpenObject {
  mapFd(name: string): number;
  programFd(name: string): number;
  close(): void;
}

/**
 * Loads an object, with those of its maps that `reuse` names by descriptor taken from there.
 * @throws Error with the end of the verifier's log where it refused a program; KernelError otherwise
 */
export function openObject(objectPath: string, reuse: Readonly<Fds<string>>, programs: readonly string[]): OpenObject {
  const object = libbpf.checkHandle(libbpf.objectOpen(objectPath, null), `open ${objectPath}`);
  const find = (name: string): libbpf.Handle => libbpf.checkHandle(libbpf.findProgram(object, name), `find program ${name}`);
  const logs = programs.map((name) => ({ name, log: libbpf.allocateLog(LOG_SIZE) }));
  try {
    for (const [name, fd] of Object.entries(reuse)) {
      const map = libbpf.findMap(object, name);
      if (map !== null && fd !== undefined) libbpf.check(libbpf.mapReuseFd(map, fd), `reuse map ${name}`);
    }
    for (const { name, log } of logs) libbpf.check(libbpf.setProgramLog(find(name), log.handle, LOG_SIZE), `log for ${name}`);
    const result = libbpf.objectLoad(object);
    if (result < 0) {
      const said = logs.map(({ name, log }) => `${name}: ${log.text().trim().split("\n").slice(-30).join("\n")}`).join("\n");
      throw new KernelError(-result, `load ${objectPath}`, said);
    }
  } catch (error) {
    libbpf.objectClose(object);
    throw error;
  } finally {
    for (const { log } of logs) log.free();
  }
  return {
    mapFd: (name) => libbpf.mapFd(libbpf.checkHandle(libbpf.findMap(object, name), `find map ${name}`)),
    programFd: (name) => libbpf.programFd(find(name)),
    close: () => libbpf.objectClose(object),
  };
}
