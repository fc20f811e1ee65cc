import { pageOf } from "#lib/rpc/page-token.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { pageSize } from "#lib/rpc/validate.ts";
import type { CallContext } from "../api.ts";

/** The paging fields of every list request. */
interface PagedRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** One page of a list in order of one key. */
export interface PageRequest {
  /** Key of the last row that was given before; empty: begin. */
  readonly after: string;
  /** Rows to read: one more than the page holds, to know whether there is a next one. */
  readonly limit: number;
  /** Cut the rows into the page and the token of the next one. */
  cut<Row>(rows: readonly Row[], keyOf: (row: Row) => string): { items: readonly Row[]; nextPageToken: string };
}

/**
 * Check page_size and open page_token (C13). `filter` is the request's other fields: a token is worth nothing for another question
 * or another caller. Faults: INVALID_ARGUMENT (INVALID_FIELD, BAD_PAGE_TOKEN).
 */
export function openPage(
  tokens: PageTokens,
  context: CallContext,
  request: PagedRequest,
  filter: Readonly<Record<string, unknown>> = {},
): PageRequest {
  const size = pageSize(request.pageSize);
  const scope = { caller: context.caller, method: context.method, filter };
  const [after = ""] = tokens.open(request.pageToken, scope) ?? [];
  return {
    after,
    limit: size + 1,
    cut(rows, keyOf) {
      const { items, nextPageToken } = pageOf(
        rows,
        size,
        (row) => [keyOf(row)],
        (cursor) => tokens.seal(cursor, scope),
      );
      return { items, nextPageToken };
    },
  };
}
