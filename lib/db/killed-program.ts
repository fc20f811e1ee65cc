/** What embedded.test.ts kills: a process that starts PostgreSQL in the directory given, commits a row, and waits. */
import pg from "pg";
import { silentLog } from "../log/log.ts";
import { startPostgres } from "./embedded.ts";

const server = await startPostgres({ dataDir: process.argv[2] ?? "", log: silentLog() });
const client = new pg.Client(server.url);
await client.connect();
await client.query("CREATE TABLE kept (value int); INSERT INTO kept VALUES (42)");
await client.query("BEGIN; INSERT INTO kept VALUES (43)"); // never committed
process.stdout.write(`${server.pid}\n`);
setInterval(() => undefined, 1_000);
