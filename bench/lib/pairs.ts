import { spreadText } from "./stats.ts";
import { table } from "./report.ts";
import type { Report } from "./report.ts";
import type { CpuUse } from "./cpu.ts";

/** Samples of all sides, taken one after the other: what the machine does besides hits each alike. */
export type Round<S> = readonly S[];

/** One sample of each side a round, beginning with another side each time. */
export async function inTurn<D, S>(
  sides: readonly D[],
  pairs: number,
  measure: (side: D, round: number) => Promise<S>,
): Promise<Round<S>[]> {
  const rounds: Round<S>[] = [];
  for (let round = 0; round < pairs; round++) {
    const samples: S[] = [];
    for (let i = 0; i < sides.length; i++) {
      const which = (i + round) % sides.length;
      samples[which] = await measure(sides[which]!, round);
    }
    rounds.push(samples);
  }
  return rounds;
}

export interface Measure<S> {
  name: string;
  of(sample: S): number;
  digits: number;
  lessIsBetter?: boolean;
  noRatio?: boolean;
}

/** A round in which others took less than this share of the time that was not idle tells about us rather than about them. */
const QUIET = 0.1;

/** Share of the time that was not idle in which the processors did something else. */
function disturbance({ foreignNs, stolenNs, ownNs }: CpuUse): number {
  return (foreignNs + stolenNs) / (ownNs + foreignNs + stolenNs);
}

/**
 * A line a side; then the first side over each other one, from each round by itself. Rounds with a void sample do not count; if some were
 * quiet and some were not, the quiet ones are also shown alone.
 */
export function printSides<S extends CpuUse & { side: string }>(
  report: Report,
  rounds: readonly Round<S>[],
  isVoid: (sample: S) => boolean,
  measures: readonly Measure<S>[],
): void {
  const good = rounds.filter((round) => !round.some(isVoid));
  if (good.length === 0) throw new Error("every round has unexplained drops: there is nothing to say");
  report.say(`${good.length} rounds, medians (middle half); ${rounds.length - good.length} rounds void`);
  printRounds(report, good, measures);
  const foreign = good.flat().map((sample) => 100 * disturbance(sample));
  report.say(`other programs and the hypervisor took ${spreadText(foreign, 1)} % of the time that was not idle`);
  const quiet = good.filter((round) => round.every((sample) => disturbance(sample) < QUIET));
  if (quiet.length === 0 || quiet.length === good.length) return;
  report.say(`of these the ${quiet.length} in which they took less than ${100 * QUIET} %:`);
  printRounds(report, quiet, measures);
}

function printRounds<S extends { side: string }>(report: Report, rounds: readonly Round<S>[], measures: readonly Measure<S>[]): void {
  const names = rounds[0]?.map(({ side }) => side) ?? [];
  const values = (side: number, { of }: Measure<S>): number[] => rounds.map((round) => of(round[side]!));
  const sides = names.map((name, i) => [name, ...measures.map((m) => spreadText(values(i, m), m.digits))]);
  report.say(table([["", ...measures.map(({ name }) => name)], ...sides]).join("\n"));
  const compared = measures.filter(({ noRatio }) => noRatio !== true);
  const ratio = (side: number, { of }: Measure<S>): string => spreadText(rounds.map((round) => of(round[0]!) / of(round[side]!)));
  const ratios = names.slice(1).map((name, i) => [`${names[0]} / ${name}`, ...compared.map((m) => ratio(i + 1, m))]);
  const header = compared.map(({ name, lessIsBetter }) => `${name}${lessIsBetter === true ? " (less is better)" : ""}`);
  report.say(table([["ratio", ...header], ...ratios]).join("\n"));
}
