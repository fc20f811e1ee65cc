import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

const sourceDir = import.meta.dirname;
const outputDir = join(sourceDir, "../../build/bpf");
/** Where Debian keeps the C library's architecture part, which the kernel's headers need. */
const TRIPLETS: Partial<Record<NodeJS.Architecture, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

export interface BuiltObject {
  /** Absolute path of the compiled object. */
  objectPath: string;
}

/**
 * The object with the two programs; compiles it if a source is newer (about a second), else answers at once. Several processes may
 * call it at the same time.
 * @throws Error that says what to install if clang or libbpf's headers are missing, or with clang's output if the source is wrong
 */
export function buildBpf(): BuiltObject {
  return build("plenum");
}

/** The deciding half alone, for BPF_PROG_TEST_RUN (D23). Same contract as `buildBpf`. */
export function buildTestBpf(): BuiltObject {
  return build("plenum_test", "test");
}

function build(name: string, folder = "."): BuiltObject {
  const source = join(sourceDir, folder, `${name}.bpf.c`);
  const objectPath = join(outputDir, `${name}.bpf.o`);
  if (modifiedAt(objectPath) <= newestSource(source)) compile(source, objectPath);
  return { objectPath };
}

function modifiedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestSource(source: string): number {
  const headers = readdirSync(sourceDir).filter((f) => f.endsWith(".h"));
  return Math.max(modifiedAt(source), ...headers.map((f) => modifiedAt(join(sourceDir, f))));
}

/** `-mcpu=v3` and clang 14 are what the floor (Debian 12, kernel 6.1) has. */
export function compilerFlags(): string[] {
  const include = `/usr/include/${TRIPLETS[process.arch] ?? process.arch}`;
  return ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", `-I${include}`];
}

function compile(source: string, objectPath: string): void {
  mkdirSync(dirname(objectPath), { recursive: true });
  const temporary = `${objectPath}.${process.pid}`; // renamed when whole: a reader never sees half an object
  const clang = spawnSync("clang", [...compilerFlags(), "-Werror", "-c", source, "-o", temporary], { encoding: "utf8" });
  if (clang.error !== undefined) {
    const code = (clang.error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new Error("clang is missing, needed to compile the BPF programs: apt-get install clang libbpf-dev");
    throw clang.error;
  }
  if (clang.status !== 0) {
    rmSync(temporary, { force: true });
    const missing = /fatal error: '(bpf|linux|asm)\//.test(clang.stderr) ? "headers are missing: apt-get install libbpf-dev\n" : "";
    throw new Error(`clang could not compile ${source}: ${missing}${clang.stderr}`);
  }
  renameSync(temporary, objectPath);
}
