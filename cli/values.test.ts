import { expect, it } from "vitest";
import { CliError } from "./cli-error.ts";
import { duration, parseDuration, parseNumber, parsePairs, parsePast, parseWord } from "./values.ts";

it("reads lengths of time", () => {
  expect(["500ms", "90s", "10m", "12h", "7d"].map(parseDuration)).toEqual([500, 90_000, 600_000, 43_200_000, 604_800_000]);
  expect(duration(1_500)).toEqual({ seconds: 1n, nanos: 500_000_000 });
  for (const wrong of ["", "5", "5 s", "-1s", "1.5h", "1y"]) expect(() => parseDuration(wrong)).toThrow(CliError);
});

it("reads times in the past", () => {
  const now = new Date("2026-03-01T12:00:00Z");
  expect(parsePast("2h", now).toISOString()).toBe("2026-03-01T10:00:00.000Z");
  expect(parsePast("2026-01-31T12:00:00+02:00", now).toISOString()).toBe("2026-01-31T10:00:00.000Z");
  for (const wrong of ["", "yesterday", "2026-01-31", "2026-13-31T12:00:00Z", "5y"]) expect(() => parsePast(wrong, now)).toThrow(CliError);
});

it("reads pairs, words and numbers, and says what it wants instead", () => {
  expect(parsePairs(["a=b", "c==d"])).toEqual({ a: "b", c: "=d" });
  expect(() => parsePairs(["=b"])).toThrow(CliError);
  expect(() => parseWord({ on: true }, "toString", "switch")).toThrow(CliError);
  expect(parseNumber("14", 0, 14, "index")).toBe(14);
  for (const wrong of ["15", "-1", "1.5", "", "1e1"]) expect(() => parseNumber(wrong, 0, 14, "index")).toThrow(CliError);
});
