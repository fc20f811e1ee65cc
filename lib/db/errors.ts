/** PostgreSQL's SQLSTATE of an error, or "" when it is not one of PostgreSQL's. */
export function sqlState(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  const { code } = error;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : "";
}

/** Two transactions could not both win (serialization failure, deadlock): a repeat of the whole transaction is safe. */
export function isTransactionConflict(error: unknown): boolean {
  const state = sqlState(error);
  return state === "40001" || state === "40P01";
}

/**
 * A prepared statement is of tables that have other columns now, or the connection does not know it any more: it is right again once it
 * is prepared anew.
 */
export function isPlanStale(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || (state === "0A000" && (error as { routine?: unknown }).routine === "RevalidateCachedQuery");
}

/**
 * What the database refuses older builds with (lib/db/fence). Of a class that also builds of before take for the database being away, so that
 * their callers repeat the call, and find a newer copy.
 */
export const OLDER_BUILD = "57P50";

/** This build is too old for the database's schema (lib/db/fence). */
export function isOlderBuild(error: unknown): boolean {
  return sqlState(error) === OLDER_BUILD;
}

/** The server ended it: a statement ran, or waited for others, for longer than statements may; or its transaction did nothing for too long. */
export function isOutOfTime(error: unknown): boolean {
  return ["57014", "25P03"].includes(sqlState(error));
}

/** Name of the constraint that a statement broke, or undefined. `state` 23505 unique, 23503 foreign key, 23514 check, 23P01 exclusion. */
export function violatedConstraint(error: unknown): { state: string; constraint: string } | undefined {
  const state = sqlState(error);
  if (!state.startsWith("23")) return undefined;
  const constraint = (error as { constraint?: unknown }).constraint;
  return { state, constraint: typeof constraint === "string" ? constraint : "" };
}

/**
 * The values themselves are what the database does not take, at any time: they are no such data (22), break a rule of the table (23), or are
 * beyond its limits (54).
 */
export function isUnwritable(error: unknown): boolean {
  return ["22", "23", "54"].includes(sqlState(error).slice(0, 2));
}

const SOCKET_ERRORS = new Set(["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"]);

/** The server is gone, starting, stopping or full; nothing is wrong with the statement. */
export function isDatabaseUnavailable(error: unknown): boolean {
  const state = sqlState(error);
  // 08: connection; 53: resources (too many connections, disk); 57P: shutdown and start-up.
  if (state.startsWith("08") || state.startsWith("53") || state.startsWith("57P")) return true;
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  // ENOENT also means a missing file: only a failed connect (to a socket that is not there) is the database's.
  if (code !== undefined && SOCKET_ERRORS.has(code)) return syscall === "connect" || code !== "ENOENT";
  // pg has no code for these two: the connection ended under a query, and the pool's own time limit.
  return /^Connection terminated|timeout exceeded when trying to connect|^Client has encountered a connection error/.test(error.message);
}
