import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import type { Kysely } from "kysely";
import { createPageTokens } from "#lib/rpc/page-token.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";

/** Page tokens whose key lies in the database, made at the first use: any copy of the coordinator opens what another sealed. */
export async function openSharedPageTokens(db: Kysely<unknown>): Promise<PageTokens> {
  await sql`INSERT INTO secret (name, value) VALUES ('page-token', ${randomBytes(32)}) ON CONFLICT DO NOTHING`.execute(db);
  const { rows } = await sql<{ value: Buffer }>`SELECT value FROM secret WHERE name = 'page-token'`.execute(db);
  const key = rows[0]?.value;
  if (key === undefined) throw new Error("the page token key is not there after it was made");
  return createPageTokens(key);
}
