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

/** A line a side; then the first side over each other one, from each round by itself. Rounds with a void sample do not count. */
export function printSides<S extends CpuUse & { side: string }>(
  report: Report,
  rounds: readonly Round<S>[],
  isVoid: (sample: S) => boolean,
  measures: readonly Measure<S>[],
): void {
  const good = rounds.filter((round) => !round.some(isVoid));
  const names = rounds[0]?.map(({ side }) => side) ?? [];
  const [first = ""] = names;
  const values = (side: number, measure: Measure<S>): number[] => good.map((round) => measure.of(round[side]!));
  report.say(`${good.length} rounds of ${names.length} sides, medians (middle half); ${rounds.length - good.length} rounds void`);
  if (good.length === 0) throw new Error("every round has unexplained drops: there is nothing to say");
  report.say(
    table([
      ["", ...measures.map(({ name }) => name)],
      ...names.map((name, i) => [name, ...measures.map((m) => spreadText(values(i, m), m.digits))]),
    ]).join("\n"),
  );
  const compared = measures.filter(({ noRatio }) => noRatio !== true);
  const ratios = names
    .slice(1)
    .map((name, i) => [
      `${first} / ${name}`,
      ...compared.map((m) => spreadText(good.map((round) => m.of(round[0]!) / m.of(round[i + 1]!)))),
    ]);
  const header = compared.map(({ name, lessIsBetter }) => `${name}${lessIsBetter === true ? " (less is better)" : ""}`);
  report.say(table([["ratio", ...header], ...ratios]).join("\n"));
  const foreign = good.flat().map(({ foreignNs, stolenNs, busyNs }) => (100 * (foreignNs + stolenNs)) / (busyNs + foreignNs + stolenNs));
  report.say(`other programs and the hypervisor took ${spreadText(foreign, 1)} % of the time that was not idle`);
}
