import { isDeepStrictEqual } from "node:util";
import type { Decision, State } from "#lib/model/index.ts";
import { Course } from "./course.ts";
import { expectedAnswer, expectedConnections } from "./expectation.ts";
import { Metered } from "./metered.ts";
import type { Program } from "./program.ts";
import type { Scenario, Step } from "./scenario.ts";

/** Where program and model part. */
export interface Difference {
  readonly scenario: Scenario;
  /** Of the step after which they do. */
  readonly at: number;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Tells a scenario to both; undefined: they agree at each step. `saw` hears of each packet's decision. */
export function compare(program: Program, scenario: Scenario, saw: (decision: Decision) => void = () => undefined): Difference | undefined {
  program.reset();
  program.configure(scenario.start);
  const course = new Course(scenario.start);
  const metered = new Metered();
  for (const [at, step] of scenario.steps.entries()) {
    const before = course.configuration;
    const { state } = course;
    const decision = course.take(step);
    if (step.what === "configuration") {
      metered.change(before, step.configuration);
      program.configure(step.configuration);
    }
    if (step.what !== "packet" || decision === undefined) continue;
    saw(decision);
    metered.add(decision);
    const answer = program.run(step.packet, course.now);
    const wanted = expectedAnswer(decision);
    if (!isDeepStrictEqual(answer, wanted)) return { scenario, at, expected: wanted, actual: answer };
    // Reading the tables is slow; what should not have been written still stands there a few packets later.
    const isDue = course.state !== state || at % 8 === 7 || at === scenario.steps.length - 1;
    const difference = isDue ? (compareTables(program, course.state) ?? metered.compare(program)) : undefined;
    if (difference !== undefined) return { scenario, at, ...difference };
  }
  return undefined;
}

function compareTables(program: Program, state: State): { expected: unknown; actual: unknown } | undefined {
  const held = program.connections();
  const actual = held.map(({ text }) => text).sort();
  const expected = expectedConnections(state);
  if (!isDeepStrictEqual(actual, expected)) return { expected, actual };
  const wrong = [...program.held()].filter(([wireId, count]) => count !== held.filter((c) => c.wireId === wireId).length);
  if (wrong.length > 0) return { expected, actual: `counts that are not those of the table: ${JSON.stringify(wrong)}` };
  const { beyond, said } = program.common();
  return beyond === said ? undefined : { expected: beyond, actual: `${said} are said to be beyond their shares` };
}

/** The same difference with as few steps as go: each is left out that it does not need. */
export function shrink(program: Program, found: Difference): Difference {
  let best: Difference = { ...found, scenario: { ...found.scenario, steps: found.scenario.steps.slice(0, found.at + 1) } };
  for (let size = best.scenario.steps.length >> 1; size >= 1; size >>= 1)
    for (let from = best.scenario.steps.length - 1 - size; from >= 0; from -= size) {
      const steps = best.scenario.steps.toSpliced(from, size);
      const again = compare(program, { ...best.scenario, steps });
      if (again !== undefined) best = { ...again, scenario: { ...again.scenario, steps: steps.slice(0, again.at + 1) } };
    }
  return best;
}

/** For a person: the configuration, the steps, both answers. */
export function describe({ scenario, expected, actual }: Difference): string {
  const text = (value: unknown): string => JSON.stringify(value, replacer, 1).replaceAll(/\n\s+/g, " ");
  const steps = scenario.steps.map((step, i) => `${i}. ${stepText(step, text)}`);
  const answers = [`model   ${text(expected)}`, `program ${text(actual)}`];
  const parts = [`seed ${scenario.seed}`, ...answers, ...steps, `start ${text(scenario.start)}`];
  return parts.join("\n");
}

const BRIEF = process.env["BRIEF"] !== undefined;
function stepText(step: Step, text: (value: unknown) => string): string {
  if (step.what === "time") return `${step.milliseconds} ms later`;
  if (step.what === "configuration") return `${step.note}: ${BRIEF ? "" : text(step.configuration)}`;
  const { frame, ...rest } = step.packet;
  return `${step.note}: ${text(rest)} ${frame.subarray(0, 96).toString("hex")}${frame.length > 96 ? `… (${frame.length} octets)` : ""}`;
}

function replacer(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return value instanceof Set ? [...value] : value;
}
