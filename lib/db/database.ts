import { Kysely } from "kysely";
import pg from "pg";
import type { Logger } from "../log/log.ts";
import { Dialect } from "./dialect.ts";
import { prepareStatements, StatementNames } from "./prepare.ts";

const INT8 = 20;
// pg knows this type; its list of names does not.
const INT8_ARRAY = 1016 as Parameters<typeof pg.types.getTypeParser>[0];

/** Types as we want them: 64-bit integers exact (bigint), the rest as pg gives them. */
function typeParsers(): pg.CustomTypesConfig {
  const types = new pg.TypeOverrides();
  types.setTypeParser(INT8, (text: string) => BigInt(text));
  const parseArray = pg.types.getTypeParser(INT8_ARRAY) as (text: string) => (string | null)[];
  types.setTypeParser(INT8_ARRAY, (text: string) => parseArray(text).map((item) => (item === null ? null : BigInt(item))));
  return types;
}

export interface DatabaseOptions {
  /** postgres://user:password@host:port/database, or with `?host=/socket/directory`. */
  readonly url: string;
  /** Role to act as (SET ROLE at connect); the URL's user must be a member of it. Default: the URL's user. */
  readonly role?: string | undefined;
  /** First in the search path. Default: the role's. */
  readonly schema?: string | undefined;
  /** Connections at most; default 10. */
  readonly connections?: number | undefined;
  readonly log: Logger;
  /** The newest migration of that schema that this build knows (`newestOf`): who is too old for it is refused (lib/db/fence). */
  readonly knows?: string | undefined;
  /** A statement that takes longer is ended by the server, milliseconds; default 30,000. */
  readonly statementTimeoutMs?: number | undefined;
}

/** One service's door to PostgreSQL. */
export interface Database<Tables> {
  readonly kysely: Kysely<Tables>;
  readonly pool: pg.Pool;
  readonly url: string;
  close(): Promise<void>;
}

const SAFE_NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/** A schema or role name that may stand in SQL unquoted. Throws on anything else: names are ours, never a caller's. */
export function safeName(name: string): string {
  if (!SAFE_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is not a plain lower-case SQL name`);
  return name;
}

function safeNumber(text: string): string {
  if (!/^\d{4}$/.test(text)) throw new Error(`${JSON.stringify(text)} is no migration's number`);
  return text;
}

/** Open a pool. Connects lazily: a database that is away makes statements fail, not this. */
export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const settings = [
    ...(options.role === undefined ? [] : [`-c role=${safeName(options.role)}`]),
    ...(options.schema === undefined ? [] : [`-c search_path=${safeName(options.schema)}`]),
    ...(options.knows === undefined ? [] : [`-c plenum.knows=${safeNumber(options.knows)}`]),
    `-c statement_timeout=${options.statementTimeoutMs ?? 30_000}`,
    // A process that hangs inside a transaction must not hold its locks for ever, nor for as long as others wait for them.
    "-c idle_in_transaction_session_timeout=10000",
  ];
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connections ?? 10,
    options: settings.join(" "),
    types: typeParsers(),
    connectionTimeoutMillis: 10_000,
    // Statements that a transaction sends without waiting between them go out together and run in that order, each as if alone.
    pipeline: true,
    // Not "plenum": that is what builds are called that do not say what they know (lib/db/fence).
    application_name: ["plenum-service", options.role ?? ""].join(" ").trim(),
  });
  // A connection that breaks is replaced by the pool. Without listeners either event would end the process: the pool's is for a
  // connection that is idle, the client's for one that is in use, whose statement fails by itself.
  pool.on("error", (error) => options.log.warn({ err: error }, "an idle database connection broke"));
  const names = new StatementNames();
  pool.on("connect", (client) => {
    prepareStatements(client, names);
    client.on("error", (error) => options.log.warn({ err: error }, "a database connection broke"));
  });
  const kysely = new Kysely<Tables>({ dialect: new Dialect({ pool }) });
  return { kysely, pool, url: options.url, close: () => kysely.destroy() };
}
