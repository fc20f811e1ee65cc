import { Status } from "nice-grpc-common";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import type { FieldViolation } from "#lib/rpc/errors.ts";
import type { ReasonName } from "#lib/rpc/reason.ts";

/** One fault of one item of a request. */
export interface Problem {
  readonly code: Status;
  readonly reason: ReasonName;
  /** Path as in the proto ("specs[3].interface_id"). */
  readonly field: string;
  /** What is wrong and what to do, without the field's name. */
  readonly description: string;
  readonly facts: Readonly<Record<string, string>>;
}

/** Faults of a batch: all are named by index, the first one decides the code (C12). */
export class Problems {
  readonly #found: Problem[] = [];

  add(problem: Problem): void {
    this.#found.push(problem);
  }

  /** Run a check that throws; keep its violations and go on. Anything but INVALID_ARGUMENT is thrown on. */
  check<Result>(check: () => Result): Result | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof PlenumError) || error.violations.length === 0) throw error;
      for (const violation of error.violations) this.add({ code: error.code, reason: error.reason, facts: error.facts, ...violation });
      return undefined;
    }
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Throws one error for all that was found; returns when nothing was. */
  throwIfAny(): void {
    const [first] = this.#found;
    if (first === undefined) return;
    const more = this.#found.length > 1 ? ` (and ${this.#found.length - 1} more)` : "";
    const violations: FieldViolation[] = this.#found.map(({ field, description }) => ({ field, description }));
    throw new PlenumError({
      code: first.code,
      reason: first.reason,
      message: `${first.field} ${first.description}${more}`,
      facts: { field: first.field, ...first.facts },
      violations,
    });
  }
}

/** A fault of the resources' state, not of the request's form. */
export function conflict(reason: ReasonName, field: string, description: string, facts: Readonly<Record<string, string>> = {}): Problem {
  return { code: Status.FAILED_PRECONDITION, reason, field, description, facts };
}

/** An address that another attachment of the network holds; `what` says what has it ("is 10.0.0.9", "has 10.0.0.9"). */
export function addressInUse(
  field: string,
  what: string,
  holder: { readonly address: string; readonly state: AttachmentState; readonly leaving: boolean },
): Problem {
  const until = holder.leaving ? "its host has said that it gave it up" : "its detaching is over";
  const description =
    holder.leaving || holder.state === AttachmentState.DETACHING
      ? `${what}, which another interface of the network holds until ${until}: wait for that`
      : `${what}, which another attached interface of the network holds: detach that one first`;
  return conflict("ADDRESS_IN_USE", field, description, { address: holder.address });
}

/** A fault of the request itself. */
export function invalid(
  field: string,
  description: string,
  reason: ReasonName = "INVALID_FIELD",
  facts: Readonly<Record<string, string>> = {},
): Problem {
  return { code: Status.INVALID_ARGUMENT, reason, field, description, facts };
}
