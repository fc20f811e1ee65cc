import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileOnce } from "../process/files.ts";
import type { Caller } from "./caller.ts";
import { invalidArgument } from "./errors.ts";

/** What a page token holds besides the place: it is worth nothing to another caller or for another question (C13). */
export interface PageScope {
  readonly caller: Caller;
  /** RPC path. */
  readonly method: string;
  /** The request without page_size and page_token: whatever changes the answer. */
  readonly filter: Readonly<Record<string, unknown>>;
}

/** What a request calls its token, and what a caller does who sent a wrong one. */
export interface TokenField {
  readonly field: string;
  readonly remedy: string;
}

const PAGE_TOKEN: TokenField = { field: "page_token", remedy: "send the next_page_token of the same request, or none to begin again" };

/** Seals the place where a list stopped: it comes back as we gave it, and says nothing to whoever carries it (C13). */
export interface PageTokens {
  /**
   * `cursor`: the key of the last row given, one string per key column. Empty cursor: no further page, an empty token. The same token for
   * the same cursor and scope.
   */
  seal(cursor: readonly string[], scope: PageScope): string;
  /**
   * The cursor, or undefined for the first page (an empty token). Anything not sealed here for this caller and filter: INVALID_ARGUMENT,
   * in the words of `named` (default: a list's page_token).
   */
  open(token: string, scope: PageScope, named?: TokenField): readonly string[] | undefined;
}

const TAG_BYTES = 16;
/** The tag is the cipher's initial block (a synthetic one): another text or scope has another, and no random number is needed. */
const CIPHER = "aes-256-ctr";

const sortedJson = (value: unknown): string =>
  JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return `${item}n`;
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });

const digest = ({ caller, method, filter }: PageScope): Buffer =>
  createHash("sha256")
    .update(sortedJson([caller.kind, caller.accountId, caller.principalId, method, filter]))
    .digest();

export function createPageTokens(key: Uint8Array): PageTokens {
  const derived = (use: string): Buffer => Buffer.from(hkdfSync("sha256", key, "", `plenum page token ${use}`, 32));
  const [macKey, cipherKey] = [derived("mac"), derived("cipher")];
  const tag = (body: Buffer, scope: PageScope): Buffer =>
    createHmac("sha256", macKey).update(digest(scope)).update(body).digest().subarray(0, TAG_BYTES);
  return {
    seal(cursor, scope) {
      if (cursor.length === 0) return "";
      const body = Buffer.from(JSON.stringify(cursor));
      const initial = tag(body, scope);
      return Buffer.concat([initial, createCipheriv(CIPHER, cipherKey, initial).update(body)]).toString("base64url");
    },
    open(token, scope, { field, remedy } = PAGE_TOKEN) {
      if (token === "") return undefined;
      const bytes = Buffer.from(token, "base64url");
      const refused = (): Error => invalidArgument(field, "is not one that this list gave you", remedy, "BAD_PAGE_TOKEN");
      if (bytes.length <= TAG_BYTES) throw refused();
      const initial = bytes.subarray(0, TAG_BYTES);
      const body = createDecipheriv(CIPHER, cipherKey, initial).update(bytes.subarray(TAG_BYTES));
      if (!timingSafeEqual(tag(body, scope), initial)) throw refused();
      return JSON.parse(body.toString("utf8")) as string[];
    },
  };
}

/** The key in `directory`, made at the first use: tokens outlive a restart. */
export async function openPageTokens(directory: string): Promise<PageTokens> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "page-token-key");
  await writeFileOnce(file, randomBytes(32).toString("hex"), 0o600);
  return createPageTokens(Buffer.from(await readFile(file, "utf8"), "hex"));
}

/** Cut one row too many into a page and the token of the next. Ask the database for `size + 1` rows. */
export function pageOf<Row>(
  rows: readonly Row[],
  size: number,
  cursorOf: (row: Row) => readonly string[],
  seal: (cursor: readonly string[]) => string,
): { items: readonly Row[]; nextPageToken: string } {
  const items = rows.slice(0, size);
  const last = items.at(-1);
  return { items, nextPageToken: rows.length > size && last !== undefined ? seal(cursorOf(last)) : "" };
}
