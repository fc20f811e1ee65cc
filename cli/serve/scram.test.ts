import { expect, it } from "vitest";
import { openDatabase } from "#lib/db/database.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import { createLog } from "#lib/log/log.ts";
import { scramSecret } from "./scram.ts";

it("is what PostgreSQL makes of the same password and salt", async () => {
  const postgres = await startTestPostgres();
  const db = openDatabase({ url: postgres.url, log: createLog({ name: "test", level: "silent" }) });
  try {
    await db.pool.query("CREATE ROLE probe PASSWORD 'right horse'");
    const { rows } = await db.pool.query<{ rolpassword: string }>("SELECT rolpassword FROM pg_authid WHERE rolname = 'probe'");
    const stored = rows[0]!.rolpassword;
    const salt = Buffer.from(/^SCRAM-SHA-256\$4096:([^$]+)\$/.exec(stored)![1]!, "base64");
    expect(scramSecret("right horse", salt)).toBe(stored);
    expect(scramSecret("wrong horse", salt)).not.toBe(stored);
  } finally {
    await db.close();
    await postgres.stop();
  }
});
