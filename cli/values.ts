import { Duration } from "#gen/google/protobuf/duration.ts";
import { CliError, ExitCode } from "./cli-error.ts";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "10m", "12h", "7d", "500ms" → milliseconds. @throws CliError */
export function parseDuration(text: string): number {
  const [, amount, unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (amount === undefined || factor === undefined) {
    throw new CliError(
      `${JSON.stringify(text)} is not a length of time`,
      "write a number and a unit: 500ms, 90s, 10m, 12h, 7d",
      ExitCode.USAGE,
    );
  }
  return Number(amount) * factor;
}

export function duration(milliseconds: number): Duration {
  return Duration.fromPartial({ seconds: BigInt(Math.floor(milliseconds / 1_000)), nanos: (milliseconds % 1_000) * 1_000_000 });
}

/** A time in the past: so long ago ("90s", "7d"), or itself in ISO 8601 with a zone ("2026-01-31T12:00:00Z"). @throws CliError */
export function parsePast(text: string, now: Date): Date {
  if (/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text)) {
    const time = new Date(text);
    if (!Number.isNaN(time.getTime())) return time;
  }
  if (/^\d+[a-z]+$/.test(text)) return new Date(now.getTime() - parseDuration(text));
  throw new CliError(
    `${JSON.stringify(text)} is not a time`,
    "write how long ago (90s, 2h, 7d) or a time (2026-01-31T12:00:00Z)",
    ExitCode.USAGE,
  );
}

/** "key=value" arguments → a map. @throws CliError */
export function parsePairs(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new CliError(`${JSON.stringify(pair)} is not a pair`, "write key=value", ExitCode.USAGE);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** One of a few words → its value. @throws CliError naming the words */
export function parseWord<T>(words: Readonly<Record<string, T>>, text: string, what: string): T {
  const value = Object.hasOwn(words, text) ? words[text] : undefined;
  if (value === undefined)
    throw new CliError(`${JSON.stringify(text)} is not a ${what}`, `write one of ${Object.keys(words).join(", ")}`, ExitCode.USAGE);
  return value;
}

/** Words of switches. */
export const ON_OFF = { on: true, off: false } as const;

/** Whole number in a range. @throws CliError */
export function parseNumber(text: string, min: number, max: number, what: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new CliError(`${what} ${JSON.stringify(text)} is not usable`, `write a whole number from ${min} to ${max}`, ExitCode.USAGE);
  return value;
}

/** For commander's repeatable options. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
