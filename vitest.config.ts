import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/setup/longest-first.ts";

// Three kinds of test, told apart by file name so that each can sit beside the code it is about:
//   x.test.ts           pure, or with a real PostgreSQL / NATS on loopback: `npm run check`
//   x.kernel.test.ts    needs root: namespaces, netlink, BPF
//   test/scenario/**    whole clusters through the public API, real packets
// Each waits for databases, kernels and processes more than it computes, and none counts on the machine for itself: on a machine with two
// processors vitest would begin one file after the other.
const common = { testTimeout: 30_000, hookTimeout: 60_000, setupFiles: ["test/setup/seed.ts"] };
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
          maxWorkers: 3,
        },
      },
      {
        test: {
          ...common,
          name: "kernel",
          include: ["**/*.kernel.test.ts"],
          exclude: ["**/node_modules/**", "test/scenario/**"],
          pool: "forks", // setns moves a whole thread: never inside a shared worker
          maxWorkers: 2, // one file, the mutants, uses all processors by itself
        },
      },
      {
        test: {
          ...common,
          name: "scenario",
          include: ["test/scenario/**/*.test.ts"],
          pool: "forks",
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
