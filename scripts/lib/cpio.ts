/** A file of an archive: its path without a leading slash, and what is in it. */
export interface ArchiveFile {
  path: string;
  content: Buffer;
}

const MODE_FILE = 0o100755;
const MODE_DIRECTORY = 0o040755;

/** An archive in the form that Linux takes for an initial file system ("newc", Documentation/driver-api/early-userspace). */
export function cpioArchive(files: readonly ArchiveFile[], directories: readonly string[] = []): Buffer {
  const all = new Set<string>();
  for (const path of [...directories, ...files.map((file) => file.path.split("/").slice(0, -1).join("/"))]) {
    const parts = path.split("/").filter(Boolean);
    for (let i = 1; i <= parts.length; i++) all.add(parts.slice(0, i).join("/"));
  }
  let inode = 1;
  return Buffer.concat([
    ...[...all].toSorted().map((path) => entry(path, MODE_DIRECTORY, Buffer.alloc(0), inode++)),
    ...files.map(({ path, content }) => entry(path, MODE_FILE, content, inode++)),
    entry("TRAILER!!!", 0, Buffer.alloc(0), 0),
  ]);
}

function entry(path: string, mode: number, content: Buffer, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  const [uid, gid, links, time, devices] = [0, 0, 1, 0, [0, 0, 0, 0]];
  const fields = [inode, mode, uid, gid, links, time, content.length, ...devices, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
