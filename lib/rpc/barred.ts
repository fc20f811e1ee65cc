import { Status } from "nice-grpc-common";
import { PlenumError } from "./errors.ts";
import type { ReasonName } from "./reason.ts";

/** Why nothing is taken from a caller whose token is good: its principal was disabled, its token revoked, its account suspended. */
export type Barred = "disabled" | "revoked" | "suspended";

interface Refusal {
  readonly code: Status;
  readonly reason: ReasonName;
  readonly message: string;
  readonly facts: Readonly<Record<string, string>>;
}

function refusalOf(why: Barred, { principalId, accountId }: { principalId: string; accountId: string }): Refusal {
  const facts = { principal_id: principalId };
  switch (why) {
    case "disabled": {
      const message = `${principalId} was disabled: its tokens are worth nothing`;
      return { code: Status.UNAUTHENTICATED, reason: "PRINCIPAL_DISABLED", message, facts };
    }
    case "revoked": {
      const message = `the tokens of ${principalId} were revoked after this one was issued: get a new one`;
      return { code: Status.UNAUTHENTICATED, reason: "TOKENS_REVOKED", message, facts };
    }
    case "suspended": {
      const message = `${accountId} is suspended: its calls are refused until an operator resumes it`;
      return { code: Status.PERMISSION_DENIED, reason: "ACCOUNT_SUSPENDED", message, facts: { account_id: accountId } };
    }
  }
}

/** What the caller is told. */
export function barredError(why: Barred, caller: { principalId: string; accountId: string }): PlenumError {
  return new PlenumError(refusalOf(why, caller));
}
