import { Status } from "nice-grpc-common";
import { PlenumError } from "./errors.ts";
import type { ReasonName } from "./reason.ts";

/**
 * Why nothing is taken from a caller whose token is good: its principal was disabled, its token revoked, its account suspended, or the
 * instance that it was for is not there any more, or not as it was.
 */
export type Barred = "disabled" | "revoked" | "suspended" | "ended";

/** Of whom it is said. */
export interface BarredCaller {
  readonly principalId: string;
  readonly accountId: string;
  /** The instance that acted as the principal; empty: none did. */
  readonly instanceId?: string;
}

interface Refusal {
  readonly code: Status;
  readonly reason: ReasonName;
  readonly message: string;
  readonly facts: Readonly<Record<string, string>>;
}

function refusalOf(why: Barred, { principalId, accountId, instanceId = "" }: BarredCaller): Refusal {
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
    case "ended": {
      const message = `this token was for ${instanceId} as it ran then: it was stopped or moved since, acts as somebody else, or its host was barred`;
      return { code: Status.UNAUTHENTICATED, reason: "INSTANCE_TOKEN_ENDED", message, facts: { instance_id: instanceId } };
    }
  }
}

/** What the caller is told. */
export function barredError(why: Barred, caller: BarredCaller): PlenumError {
  return new PlenumError(refusalOf(why, caller));
}

/** What a host is told that an operator barred, wherever it calls. */
export function hostBarred(hostId: string): PlenumError {
  const message = `${hostId} was barred by an operator: nothing is taken from it until it is unbarred (\`plenum host unbar\`)`;
  return new PlenumError({ code: Status.PERMISSION_DENIED, reason: "HOST_BARRED", message, facts: { host_id: hostId } });
}
