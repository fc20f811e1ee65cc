import { defineConfig } from "vitest/config";

// Three kinds of test, told apart by file name so that each can sit beside the code it is about:
//   x.test.ts           pure, or with a real PostgreSQL / NATS on loopback: `npm run check`
//   x.kernel.test.ts    needs root: namespaces, netlink, BPF
//   test/scenario/**    whole clusters through the public API, real packets
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
    projects: [
      {
        test: {
          ...common,
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/*.kernel.test.ts", "test/scenario/**"],
          maxWorkers: 2, // most wait for their database more than they compute: two on two processors, where the default is one
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
          ...common,
          name: "scenario",
          include: ["test/scenario/**/*.test.ts"],
          pool: "forks",
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
