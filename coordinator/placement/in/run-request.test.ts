import { expect, test } from "vitest";
import { RunInstanceRequest } from "#gen/plenum/compute/v1/instance.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import { checkRun } from "./run-request.ts";

/** Fields that are refused. */
function refused(process: { argv?: string[]; env?: Record<string, string> }): string[] {
  try {
    checkRun(RunInstanceRequest.create({ process, stopped: true }));
    return [];
  } catch (error) {
    if (!(error instanceof PlenumError)) throw error;
    return error.violations.map((one) => one.field);
  }
}

test("arguments and environment have 128 KiB together, counted in bytes as the kernel counts them", () => {
  const argv = Array.from({ length: 32 }, () => "x".repeat(4_095));
  expect(refused({ argv })).toEqual([]);
  expect(refused({ argv: [...argv, ""] })).toEqual(["process"]);
  expect(refused({ argv: argv.slice(1), env: { A: "x".repeat(4_093) } })).toEqual([]);
  expect(refused({ argv: argv.slice(1), env: { AB: "x".repeat(4_093) } })).toEqual(["process"]);
  expect(refused({ argv: Array.from({ length: 32 }, () => "€".repeat(2_000)) })).toEqual(["process"]);
});
