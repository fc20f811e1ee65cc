import { sqlState } from "#lib/db/errors.ts";
import { resourceExhausted } from "#lib/rpc/errors.ts";

/** PostgreSQL: nextval reached the sequence's last value. */
const SEQUENCE_LIMIT = "2200H";

/** Run a statement that takes numbers from a sequence; past the last one: RESOURCE_EXHAUSTED. `what` is for people ("ruleset ids"). */
export async function unlessExhausted<Result>(what: string, statement: () => Promise<Result>): Promise<Result> {
  try {
    return await statement();
  } catch (error) {
    if (sqlState(error) !== SEQUENCE_LIMIT) throw error;
    throw resourceExhausted("LIMIT_EXCEEDED", `all ${what} of this installation have been given out, and none is ever given out again`, {
      limit: what,
    });
  }
}
