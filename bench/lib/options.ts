import { parseArgs } from "node:util";

export interface BenchOptions {
  /** How often each side is measured, in turn. */
  pairs: number;
  /** Seconds of one sample of traffic. */
  seconds: number;
  /** Attaches of one side. */
  count: number;
}

/** `--pairs N`, `--seconds S` (whole ones), `--count N`; short by default, DESIGN's figures want 15 pairs or more. @throws TypeError for another option */
export function benchOptions(defaults: Partial<BenchOptions> = {}): BenchOptions {
  const number = { type: "string" } as const;
  const { values } = parseArgs({ options: { pairs: number, seconds: number, count: number } });
  const positive = (name: keyof BenchOptions, otherwise: number): number => {
    const value = Number(values[name] ?? defaults[name] ?? otherwise);
    if (!Number.isInteger(value) || value < 1) throw new TypeError(`--${name} must be a whole number, 1 or more`);
    return value;
  };
  return { pairs: positive("pairs", 3), seconds: positive("seconds", 2), count: positive("count", 100) };
}
