// `npm run check` (--quick) and `npm test`. The last line says how many tests ran, summed over vitest's own reports.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { addCounts, NONE, readCounts } from "./lib/counts.ts";
import type { Counts } from "./lib/counts.ts";
import { readIstanbul } from "./lib/coverage/istanbul.ts";
import { judge } from "./lib/coverage/judge.ts";
import { readLlvm } from "./lib/coverage/llvm.ts";
import { tableOf } from "./lib/coverage/report.ts";
import { endStepsOnSignals, runStep } from "./lib/step.ts";
import type { StepResult } from "./lib/step.ts";

const quick = process.argv.includes("--quick");
const ci = process.env["CI"] === "true";
const results = "build/test-results";
const image = "build/contract.binpb";
/** What `vitest.config.ts` and host-agent/oracle/coverage.kernel.test.ts leave. */
const coverage = { unit: "build/coverage/unit/coverage-final.json", program: "build/coverage/program.json" };
const fuzzMessages = process.env["PLENUM_FUZZ_MESSAGES"] ?? "100000";
/** Rules of `buf.yaml`; named here because an image carries no configuration. */
const breakingRules = JSON.stringify({ version: "v2", breaking: { use: ["WIRE_JSON"] } });

/** How much of what a failed check printed is repeated; all of it stands where it ran. */
const LINES_OF_CHECK = 15;

const steps: StepResult[] = [];
const counts = new Map<string, Counts>();

/** A check of the sources: several at the same time, each tells what it found in one piece. Answers whether all is well. */
async function check(name: string, command: string, ...args: string[]): Promise<boolean> {
  const result = await runStep(name, command, args, { whole: true });
  steps.push(result);
  return result.ok;
}

/** `name`: of one or, with a `*`, of several projects of `vitest.config.ts`. */
async function vitest(name: string, env: Readonly<Record<string, string>> = {}, ...more: string[]): Promise<void> {
  const project = name.replace("*", "");
  const file = `${results}/${project}.json`;
  rmSync(file, { force: true });
  const args = ["run", "--project", name, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...more];
  steps.push(await runStep(`tests: ${project}`, "vitest", args, { env }));
  counts.set(project, readCounts(file));
}

/** What stands in the way of tests that need root and namespaces; empty: nothing. */
function obstacles(): string {
  if (process.getuid?.() !== 0) return "not root";
  const script = ". scripts/lib/say.sh; . scripts/lib/kernel.sh; PATH=$PATH:/usr/sbin:/sbin missing_kernel_features";
  const run = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  if (run.status !== 0) return `the kernel could not be examined: ${run.stderr}`;
  return run.stdout
    .trim()
    .split("\n")
    .map((line) => line.split("|")[0])
    .join("; ");
}

/** Well within a minute: whoever forgot to format a file need not wait for tests to hear of it. */
async function checks(): Promise<void> {
  await Promise.all([
    check("lint", "eslint", "."), // takes longest
    check("types", "tsc", "--noEmit", "-p", "."),
    check("format", "prettier", "--check", "--log-level=warn", "."),
    check("contract: lint", "buf", "lint"),
    contractChecks(),
  ]);
  tellFailedChecks();
}

async function contractChecks(): Promise<void> {
  if (!(await check("contract: build", "buf", "build", "-o", image))) return; // there is nothing to compare
  await check("contract: breaking changes", "buf", "breaking", image, "--against", "proto/baseline.binpb", "--config", breakingRules);
}

/** What the failed checks found: before the tests, and again among the last lines. */
function tellFailedChecks(): void {
  for (const { name, ok, output = "" } of steps) {
    const lines = output.split("\n").filter((line) => line.trim() !== "");
    if (!ok && lines.length > 0) process.stdout.write(`\n${name} FAILED:\n${lines.slice(-LINES_OF_CHECK).join("\n")}\n`);
  }
}

/** Every branch of core/, of the model and of the program is covered, or a comment says why not: else it is a failure. */
function coveragePart(): void {
  const [failed] = steps.filter(({ name, ok }) => !ok && ["tests: unit", "tests: kernel"].includes(name));
  if (failed !== undefined) {
    process.stdout.write(`\ncoverage: not judged (${failed.name} failed)\n`);
    return;
  }
  const root = process.cwd();
  // Without root the program's tests did not run, which was said.
  const program = counts.has("kernel") ? readLlvm(coverage.program, root).filter(({ file }) => !file.includes("/test/")) : [];
  const judgement = judge([...readIstanbul(coverage.unit, root), ...program]);
  process.stdout.write(`\n${tableOf(judgement)}`);
  for (const problem of judgement.problems) process.stdout.write(`  ${problem}\n`);
  process.stdout.write(`coverage: ${judgement.problems.length} branches without a reason, or reasons without a branch\n`);
  steps.push({ name: "coverage", ok: judgement.problems.length === 0 });
}

async function kernelPart(): Promise<void> {
  const obstacle = obstacles();
  if (obstacle === "") {
    await vitest("kernel");
    await vitest("scenario*"); // with those that run alone
    return;
  }
  process.stdout.write(`\nkernel and scenario tests: SKIPPED (${obstacle})\n`);
  if (ci) steps.push({ name: "kernel and scenario tests must not be skipped where CI=true", ok: false });
}

/** On a machine where its kernel could not be fetched this is told, and no failure. */
async function floorPart(): Promise<void> {
  if (existsSync("build/floor/vmlinuz")) steps.push(await runStep("kernel floor: the programs load", "node", ["scripts/floor.ts"]));
  else process.stdout.write("\nkernel floor: NOT RUN (its kernel could not be fetched)\n");
}

/** After an end before time: clusters whose tests were cut off. A run that comes to its end leaves none, and hides none that it does. */
async function removeWhatTestsLeft(): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { removeDeadRuns } = await import("../cli/up/remove.ts");
  for (const run of await removeDeadRuns()) process.stdout.write(`removed what run ${run} had left\n`);
}

function finish(): never {
  const total = [...counts.values()].reduce(addCounts, NONE);
  const of = (project: string): number => counts.get(project)?.passed ?? 0;
  const failedSteps = steps.filter(({ ok }) => !ok).map(({ name }) => name);
  // A failed step that is no test run (types, lint, …) is a failure like any other: the count must not look clean.
  const others = failedSteps.filter((name) => !name.startsWith("tests: ") || total.failed === 0).length;
  const skipped = total.skipped > 0 && ci ? 1 : 0;
  const failed = total.failed + others + skipped;
  tellFailedChecks();
  process.stdout.write("\n");
  if (failedSteps.length > 0) process.stdout.write(`failed: ${failedSteps.join(", ")}\n`);
  if (total.skipped > 0) process.stdout.write(`tests skipped: ${total.skipped}${ci ? " (not allowed where CI=true)" : ""}\n`);
  process.stdout.write(
    `of them: ${of("unit")} unit and contract, ${of("kernel")} kernel, ${of("scenario")} scenario (guest packets through the kernel)\n`,
  );
  process.stdout.write(`${total.passed} passed, ${failed} failed\n`);
  process.exit(failed === 0 && total.passed > 0 ? 0 : 1);
}

endStepsOnSignals(removeWhatTestsLeft);
mkdirSync(results, { recursive: true });
await checks();
if (quick) await vitest("unit");
else {
  for (const file of Object.values(coverage)) rmSync(file, { force: true });
  await vitest("unit", { PLENUM_FUZZ_MESSAGES: fuzzMessages }, "--coverage.enabled");
  await kernelPart();
  coveragePart();
  await floorPart();
}
finish();
