import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/setup/longest-first.ts";

// Three kinds of test, told apart by file name so that each can sit beside the code it is about:
//   x.test.ts           pure, or with a real PostgreSQL / NATS on loopback: `npm run check`
//   x.kernel.test.ts    needs root: namespaces, netlink, BPF
//   test/scenario/**    whole clusters through the public API, real packets
const common = { testTimeout: 30_000, hookTimeout: 60_000, setupFiles: ["test/setup/seed.ts"] };
// Unit tests and scenarios wait for databases and processes, and do not count on being alone on the machine: where vitest's default on two
// processors is one file after the other, two at a time.
const AT_A_TIME = 2;

const scenario = { ...common, pool: "forks" as const, testTimeout: 120_000, hookTimeout: 180_000 };
/** They send thousands of datagrams a second and account for each: nothing runs beside them. */
const ALONE = ["agent-restart", "agent-upgrade", "counting", "exactness"].map((name) => `test/scenario/${name}.test.ts`);

export default defineConfig({
  test: {
    // With --coverage.enabled, as `npm test` runs the unit tests; scripts/lib/coverage reads the report.
    coverage: {
      provider: "v8",
      include: ["**/core/**/*.ts", "lib/model/**/*.ts"],
      reporter: ["json"],
      reportsDirectory: "build/coverage/unit",
    },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...common,
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/*.kernel.test.ts", "test/scenario/**"],
          maxWorkers: AT_A_TIME,
        },
      },
      {
        test: {
          ...common,
          name: "kernel",
          include: ["**/*.kernel.test.ts"],
          exclude: ["**/node_modules/**", "test/scenario/**"],
          pool: "forks", // setns moves a whole thread: never inside a shared worker
          maxWorkers: 1,
        },
      },
      {
        test: {
          ...scenario,
          name: "scenario",
          include: ["test/scenario/**/*.test.ts"],
          exclude: ALONE,
          maxWorkers: AT_A_TIME,
        },
      },
      { test: { ...scenario, name: "scenario-alone", include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
