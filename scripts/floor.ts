// Do the programs load on the oldest kernel that we promise (6.1, Debian 12's own)? Boots it without acceleration, about 15 seconds,
// with nothing but bpftool and the objects in its memory. `scripts/lib/floor.sh` has fetched it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { buildBpf, buildTestBpf } from "../host-agent/bpf/build.ts";
import { cpioArchive } from "./lib/cpio.ts";
import type { ArchiveFile } from "./lib/cpio.ts";

const floor = join(import.meta.dirname, "../build/floor");
const kernel = join(floor, "vmlinuz");
const LIMIT_MS = 180_000;
const PROGRAMS = ["/bin/dash", "/bin/mount", "/usr/sbin/bpftool"];

/** A program and the libraries that it loads. */
function withLibraries(program: string): string[] {
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  return [program, ...[...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? "")];
}

const script = (objects: readonly string[]): string => `#!/bin/dash
/bin/mount -t sysfs sys /sys
/bin/mount -t bpf bpf /sys/fs/bpf
for object in ${objects.join(" ")}; do
  if /usr/sbin/bpftool prog loadall /$object /sys/fs/bpf/\${object%%.*} >/log 2>&1
  then echo "LOADED $object"
  else while read -r line; do echo "$line"; done </log; fi
done
`;

function boot(objects: readonly string[]): string {
  const names = objects.map((path) => basename(path));
  const libraries = [...new Set(PROGRAMS.flatMap(withLibraries))];
  const files: ArchiveFile[] = [
    { path: "init", content: Buffer.from(script(names)) },
    ...objects.map((path) => ({ path: basename(path), content: readFileSync(path) })),
    ...libraries.map((path) => ({ path: path.slice(1), content: readFileSync(path) })),
  ];
  const initramfs = join(floor, `initramfs-${process.pid}`);
  writeFileSync(initramfs, cpioArchive(files, ["sys", "proc", "dev"]));
  // When init ends the kernel panics and reboots at once, which ends the machine.
  const machine = ["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1G", "-nographic", "-no-reboot", "-net", "none"];
  const args = [...machine, "-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 rdinit=/init"];
  try {
    const run = spawnSync("qemu-system-x86_64", args, { encoding: "utf8", timeout: LIMIT_MS, stdio: ["ignore", "pipe", "inherit"] });
    if (run.error !== undefined) throw run.error;
    return run.stdout;
  } finally {
    rmSync(initramfs);
  }
}

if (!existsSync(kernel)) throw new Error(`${kernel} is missing: npm test fetches it`);
const objects = [buildBpf().objectPath, buildTestBpf().objectPath];
const said = boot(objects);
const refused = objects.map((path) => basename(path)).filter((name) => !said.includes(`LOADED ${name}`));
if (refused.length > 0) process.stdout.write(said);
const version = readFileSync(join(floor, "version"), "utf8").trim();
process.stdout.write(`${version}: ${objects.length - refused.length} of ${objects.length} objects load\n`);
process.exit(refused.length === 0 ? 0 : 1);
