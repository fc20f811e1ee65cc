import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";

const root = join(import.meta.dirname, "../..");

/**
 * Files that take longer than ten seconds on two processors, longest first within a project. One of them that starts last is waited
 * for with nothing beside it. A file that is missing here costs time and nothing else.
 */
const LONG = [
  "test/calls/fuzz.test.ts",
  "coordinator/testing/watch.test.ts",
  "coordinator/testing/record-state.test.ts",
  "host-agent/in/agent.test.ts",
  "coordinator/testing/watch-list.test.ts",

  "host-agent/oracle/mutants.kernel.test.ts",
  "host-agent/out/datapath/upgrade.kernel.test.ts",
  "host-agent/repair.kernel.test.ts",
  "host-agent/oracle/differential.kernel.test.ts",
  "host-agent/out/datapath/restart.kernel.test.ts",
  "host-agent/out/datapath/forwarding.kernel.test.ts",
  "host-agent/oracle/coverage.kernel.test.ts",
  "host-agent/agent.kernel.test.ts",

  "test/scenario/guides.test.ts",
  "test/scenario/demo.test.ts",
  "test/scenario/once.test.ts",
  "test/scenario/substrate.test.ts",
  "test/scenario/host-failure.test.ts",
  "test/scenario/groups.test.ts",
  "test/scenario/first-packets.test.ts",
].map((file) => join(root, file));

for (const file of LONG) if (!existsSync(file)) throw new Error(`test/setup/longest-first.ts names ${file}, which is not there`);

const rank = ({ moduleId }: TestSpecification): number => {
  const place = LONG.indexOf(moduleId);
  return place === -1 ? LONG.length : place;
};

/** The order in which files are begun: those above, then the others as vitest has it. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
