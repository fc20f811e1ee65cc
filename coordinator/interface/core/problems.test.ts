import { expect, test } from "vitest";
import { PlenumError } from "#lib/rpc/errors.ts";
import { conflict, invalid, Problems } from "./problems.ts";

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

test("all faults of a batch are named, the first decides the code", () => {
  const problems = new Problems();
  expect(thrownBy(() => problems.throwIfAny())).toBeUndefined();
  problems.add(conflict("ADDRESS_IN_USE", "specs[1].address", "is taken", { address: "10.0.0.5" }));
  expect(thrownBy(() => problems.throwIfAny())).toMatchObject({ message: "specs[1].address is taken" });
  problems.add(invalid("specs[2].subnet_id", "is none"));
  expect(thrownBy(() => problems.throwIfAny())).toMatchObject({
    reason: "ADDRESS_IN_USE",
    message: "specs[1].address is taken (and 1 more)",
    facts: { field: "specs[1].address", address: "10.0.0.5" },
    violations: [{ field: "specs[1].address" }, { field: "specs[2].subnet_id" }],
  });
});

test("the faults that a check finds are kept; anything else it throws is thrown on", () => {
  const problems = new Problems();
  const fault = invalid("name", "is too long");
  const violations = [{ field: fault.field, description: fault.description }];
  const refusal = new PlenumError({ code: fault.code, reason: fault.reason, message: "no", facts: {}, violations });
  const throwing = (error: Error) => () => {
    throw error;
  };
  expect(problems.check(() => 5)).toBe(5);
  expect(problems.any).toBe(false);
  expect(problems.check(throwing(refusal))).toBeUndefined();
  expect(problems.any).toBe(true);
  const bare = new PlenumError({ code: fault.code, reason: fault.reason, message: "not about a field", facts: {}, violations: [] });
  for (const error of [new TypeError("a bug"), bare]) expect(thrownBy(() => problems.check(throwing(error)))).toBe(error);
});
