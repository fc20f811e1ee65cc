import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";

const DIRECTORY = "build/bench";

/** What a run printed and what it saw, kept in build/bench/<name>.json. */
export class Report {
  readonly #name: string;
  readonly #started = new Date();
  readonly #loadBefore = loadavg()[0] ?? NaN;
  readonly #samples: Record<string, unknown>[] = [];
  readonly #lines: string[] = [];

  constructor(name: string) {
    this.#name = name;
    this.say(`${process.argv.slice(1).join(" ").replace(process.cwd(), ".")}: ${cpus().length} processors (${cpus()[0]?.model ?? "?"})`);
    this.say(`Linux ${release()}, load ${this.#loadBefore.toFixed(2)} before`);
  }

  /** A line for people. */
  say(line: string): void {
    this.#lines.push(line);
    process.stdout.write(`${line}\n`);
  }

  /** A raw sample: kept, not printed. */
  sample(sample: Record<string, unknown>): void {
    this.#samples.push(sample);
  }

  /** Writes the file and says where. bigint is written as text. */
  save(): void {
    const load = { before: this.#loadBefore, after: loadavg()[0] };
    const all = {
      name: this.#name,
      started: this.#started,
      command: process.argv.slice(1),
      load,
      said: this.#lines,
      samples: this.#samples,
    };
    mkdirSync(DIRECTORY, { recursive: true });
    const path = join(DIRECTORY, `${this.#name}.json`);
    this.say(`load ${load.after?.toFixed(2)} after; raw samples in ${path}`);
    writeFileSync(path, `${JSON.stringify(all, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value), 1)}\n`);
  }
}

/** Lines of a table, columns as wide as they need to be. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
