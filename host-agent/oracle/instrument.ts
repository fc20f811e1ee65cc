import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compilerFlags } from "../bpf/build.ts";

// The test object with clang's own coverage counters. Clang marks each place that wants a counter by a call in its intermediate code, and
// would bring a runtime library that keeps the counters and writes them to a file: nothing that a kernel has. So each of these calls becomes
// an addition in one array, which libbpf makes a map of; what a runtime would write is written from that map's bytes.

/** Section of the array, and so the map's name. */
export const COUNTERS = ".data.coverage";

const SOURCE = join(import.meta.dirname, "../bpf/test/plenum_test.bpf.c");
const COVERAGE = ["-fprofile-instr-generate", "-fcoverage-mapping"];

/** Counters of one function, in the order in which clang numbers them. */
interface Counted {
  readonly name: string;
  /** Of the function's shape: llvm-cov takes counts of this very shape only. */
  readonly hash: bigint;
  readonly first: number;
  readonly count: number;
}

export interface Instrumented {
  readonly objectPath: string;
  /** Size of the map's one element, in bytes. */
  readonly size: number;
  readonly functions: readonly Counted[];
}

/** Builds it below `dir`. @throws Error with the tool's words if it cannot be compiled, or if clang marks counters in another way */
export function buildInstrumented(dir: string): Instrumented {
  const [plain, counting, objectPath] = [join(dir, "plain.ll"), join(dir, "counting.ll"), join(dir, "plenum_test.cov.o")];
  // Not optimized yet: the optimizer would turn the marks into what the runtime library wants.
  command("clang", ...compilerFlags(), ...COVERAGE, "-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm", SOURCE, "-o", plain);
  const { text, functions, size } = withCounters(readFileSync(plain, "utf8"));
  writeFileSync(counting, text);
  command("clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-c", "-x", "ir", counting, "-o", objectPath);
  return { objectPath, size, functions };
}

/** What was covered, as `llvm-cov export` says it (JSON), from the bytes of the map. Writes below `dir`. */
export function exportCoverage({ objectPath, functions }: Instrumented, counters: Buffer, dir: string): string {
  const [text, profile] = [join(dir, "counts.proftext"), join(dir, "counts.profdata")];
  writeFileSync(text, functions.map((f) => [f.name, f.hash, f.count, ...countsOf(f, counters), ""].join("\n")).join("\n"));
  command("llvm-profdata", "merge", text, "-o", profile);
  return command("llvm-cov", "export", objectPath, `-instr-profile=${profile}`);
}

function countsOf({ first, count }: Counted, counters: Buffer): bigint[] {
  return Array.from({ length: count }, (_, i) => counters.readBigUInt64LE(8 * (first + i)));
}

const NAME = /^@(__profn_[\w.]+) = private constant \[\d+ x i8\] c"([^"]*)"/gm;
/** `.step` adds a number that is computed: 1 or 0, for the two ways of a `?:`. */
const MARK =
  /call void @llvm\.instrprof\.increment(?:\.step)?\(i8\* .*?@(__profn_[\w.]+), i32 0, i32 0\), i64 (-?\d+), i32 (\d+), i32 (\d+)(?:, i64 (%\d+))?\).*$/gm;
const USED = /^@llvm\.used = appending global \[(\d+) x i8\*\] \[/m;

function withCounters(text: string): { text: string; functions: Counted[]; size: number } {
  const names = new Map([...text.matchAll(NAME)].map(([, symbol, name]) => [symbol!, name!]));
  const functions = new Map<string, Counted>();
  let total = 0;
  for (const [, symbol, hash, count] of text.matchAll(MARK)) {
    if (functions.has(symbol!)) continue;
    functions.set(symbol!, { name: names.get(symbol!)!, hash: BigInt.asUintN(64, BigInt(hash!)), first: total, count: Number(count) });
    total += Number(count);
  }
  let number = 0;
  const counting = text
    .replace(MARK, (_call, symbol: string, _hash, _count, index: string, step = "1") => {
      const [type, value] = [`[${total} x i64]`, `%counter.${++number}`];
      const at = `i64* getelementptr (${type}, ${type}* @coverage, i64 0, i64 ${functions.get(symbol)!.first + Number(index)})`;
      return `${value} = load i64, ${at}\n  ${value}.next = add i64 ${value}, ${step}\n  store i64 ${value}.next, ${at}`;
    })
    .replace(/^declare void @llvm\.instrprof\.increment.*$/gm, "")
    .replace(USED, (_head, length: string) => `${globals(total, [...names.values()])}\n${usedWith(Number(length), [...names.values()])}`);
  if (number === 0 || counting.includes("@llvm.instrprof"))
    throw new Error("this clang marks its counters in a way that is not known here");
  return { text: counting, functions: [...functions.values()], size: 8 * total };
}

/** The array, and the names of all functions as llvm-cov looks for them. */
function globals(total: number, names: readonly string[]): string {
  const bytes = nameSection(names);
  const content = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
  return (
    `@coverage = dso_local global [${total} x i64] zeroinitializer, section "${COUNTERS}", align 8\n` +
    `@names = private constant [${bytes.length} x i8] c"${content}", section "__llvm_prf_names", align 1`
  );
}

function usedWith(length: number, names: readonly string[]): string {
  const type = `[${nameSection(names).length} x i8]`;
  return `@llvm.used = appending global [${length + 1} x i8*] [i8* getelementptr (${type}, ${type}* @names, i32 0, i32 0), `;
}

/** Length (LEB128), length when compressed (0: it is not), names. */
function nameSection(names: readonly string[]): Buffer {
  const text = Buffer.from(names.join("\x01"));
  const length: number[] = [];
  for (let left = text.length; left > 0 || length.length === 0; left >>= 7) length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
  return Buffer.concat([Buffer.from([...length, 0]), text]);
}

function command(name: string, ...args: string[]): string {
  const run = spawnSync(name, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (run.error !== undefined) throw run.error;
  if (run.status !== 0) throw new Error(`${name} failed: ${run.stderr}`);
  return run.stdout;
}
