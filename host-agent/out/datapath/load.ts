import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KernelError } from "#lib/linux/index.ts";
import { BpfMap, type MapName } from "./bpf-map.ts";
import { describeLayout } from "./describe-layout.ts";
import { MAPS, SCHEMA } from "./layout.gen.ts";
import * as libbpf from "./libbpf.ts";
import { closeAll, getPinned, isComplete, list, type Fds, type PinSet } from "./pins.ts";

export const PROGRAMS = ["from_instance", "from_tunnel", "import_connections"] as const;
export type ProgramName = (typeof PROGRAMS)[number];

const MAP_NAMES = Object.keys(MAPS) as MapName[];
const LOG_SIZE = 1 << 20;

/** Maps and programs in the kernel, by descriptor. */
export interface Loaded {
  maps: Record<MapName, BpfMap>;
  programs: Record<ProgramName, number>;
}

/**
 * Adopts what is pinned in `set` for this object; loads and pins what is not. Maps are kept by the schema's hash, programs by
 * the object's: a changed program with unchanged maps is loaded against the pinned maps (D21).
 *
 * @param fill brings other versions' elements into maps that are new; once it has returned they are never filled again
 * @throws Error if the object does not match the generated layout, or with the verifier's last words; KernelError otherwise
 */
export function loadOrAdopt(set: PinSet, objectPath: string, fill: (maps: Loaded["maps"]) => void): Loaded {
  const object = readFileSync(objectPath);
  const { schema } = describeLayout(object);
  if (schema !== SCHEMA) throw new Error(`${objectPath} has schema ${schema}, this agent has ${SCHEMA}: they are of different versions`);
  const programsDir = join(set.programs, digest(object));
  const fresh = !set.isFilled;
  mkdirSync(set.maps, { recursive: true, mode: 0o700 });
  mkdirSync(programsDir, { recursive: true, mode: 0o700 });

  const maps = getPinned(set.maps, MAP_NAMES);
  const programs = getPinned(programsDir, PROGRAMS);
  if (isComplete(maps, MAP_NAMES) && isComplete(programs, PROGRAMS)) return { maps: wrap(maps), programs };
  closeAll(programs);
  return load(objectPath, { mapsDir: set.maps, programsDir }, maps, fresh ? fill : () => {});
}

/** Descriptors only: what is pinned or attached stays. */
export function closeLoaded({ maps, programs }: Loaded): void {
  for (const map of Object.values(maps)) map.close();
  closeAll(programs);
}

/** Unpins programs of other objects; whoever still runs one keeps it until it is swapped. */
export function forgetOtherPrograms(set: PinSet, objectPath: string): void {
  const own = digest(readFileSync(objectPath));
  for (const other of list(set.programs)) if (other !== own) rmSync(join(set.programs, other), { recursive: true });
}

function digest(object: Buffer): string {
  return createHash("sha256").update(object).digest("hex").slice(0, 12);
}

function wrap(fds: Record<MapName, number>): Record<MapName, BpfMap> {
  return Object.fromEntries(MAP_NAMES.map((name) => [name, BpfMap.own(name, fds[name])])) as Record<MapName, BpfMap>;
}

function load(
  objectPath: string,
  dirs: { mapsDir: string; programsDir: string },
  pinned: Fds<MapName>,
  fill: (maps: Loaded["maps"]) => void,
): Loaded {
  const opened = openObject(objectPath, pinned, PROGRAMS);
  try {
    const maps = wrap(
      Object.fromEntries(MAP_NAMES.map((name) => [name, pinned[name] ?? pinNew(opened.mapFd(name), join(dirs.mapsDir, name))])) as Record<
        MapName,
        number
      >,
    );
    fill(maps);
    const programs = Object.fromEntries(
      PROGRAMS.map((name) => {
        const path = join(dirs.programsDir, name);
        rmSync(path, { force: true }); // half a set, from a crash while pinning
        return [name, pinNew(opened.programFd(name), path)];
      }),
    ) as Record<ProgramName, number>;
    return { maps, programs };
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
 * Loads an object, with those of its maps that `reuse` names by descriptor taken from there, and those that `sizes` names with room for
 * so many elements.
 * @throws Error with the end of the verifier's log where it refused a program; KernelError otherwise
 */
export function openObject(
  objectPath: string,
  reuse: Readonly<Fds<string>>,
  programs: readonly string[],
  sizes: Readonly<Record<string, number>> = {},
): OpenObject {
  const object = libbpf.checkHandle(libbpf.objectOpen(objectPath, null), `open ${objectPath}`);
  const find = (name: string): libbpf.Handle => libbpf.checkHandle(libbpf.findProgram(object, name), `find program ${name}`);
  const logs = programs.map((name) => ({ name, log: libbpf.allocateLog(LOG_SIZE) }));
  try {
    for (const [name, fd] of Object.entries(reuse)) {
      const map = libbpf.findMap(object, name);
      if (map !== null && fd !== undefined) libbpf.check(libbpf.mapReuseFd(map, fd), `reuse map ${name}`);
    }
    for (const [name, size] of Object.entries(sizes)) {
      const map = libbpf.checkHandle(libbpf.findMap(object, name), `find map ${name}`);
      libbpf.check(libbpf.mapResize(map, size), `size map ${name}`);
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
