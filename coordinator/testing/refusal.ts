import { callFailure } from "#lib/rpc/client-error.ts";
import type { CallFailure } from "#lib/rpc/client-error.ts";

/** What a call was refused with. Fails the test when it was not refused. */
export async function refusalOfCall(call: Promise<unknown>): Promise<CallFailure> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (error) {
    const failure = callFailure(error);
    if (failure === undefined) throw error;
    return failure;
  }
  throw new Error(
    `was not refused but answered ${JSON.stringify(answer, (_key, item: unknown) => (typeof item === "bigint" ? String(item) : item))}`,
  );
}

/** The part of a refusal that programs read: "NOT_FOUND RESOURCE_NOT_FOUND". */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  const { status, reason } = await refusalOfCall(call);
  return `${status} ${reason}`;
}
