import { parseArgs } from "node:util";
import { z } from "zod";

/** One setting: where it comes from, what it may be, what it is for. */
export interface ConfigKey<Schema extends z.ZodType = z.ZodType> {
  /** Environment variable. Ours begin with PLENUM_, except the two that everybody calls the same (DATABASE_URL, NATS_URL). */
  readonly env: string;
  /** Command line option without its dashes ("data-dir"). It goes over the environment. */
  readonly flag: string;
  /** Reads a text. Give the default with `.default(...)`, in the type of the result; without one the setting is required. */
  readonly schema: Schema;
  /** For people: what it does, its unit and range. */
  readonly description: string;
  /** Never shown. */
  readonly secret?: boolean;
  /** The default in words, where it depends on the machine. */
  readonly defaultText?: string;
}

/** The one table of a service's settings. */
export type ConfigTable = Readonly<Record<string, ConfigKey>>;

export type ConfigOf<Table extends ConfigTable> = { readonly [Name in keyof Table]: z.output<Table[Name]["schema"]> };

/** Declare a key with the type of its schema kept. */
export function key<Schema extends z.ZodType>(definition: ConfigKey<Schema>): ConfigKey<Schema> {
  return definition;
}

/** Schemas for what settings usually are; each reads a text. */
export const setting = {
  text: () => z.string().min(1),
  flag: () => z.stringbool(),
  integer: (min: number, max: number) =>
    z
      .string()
      .regex(/^-?\d+$/, "give a whole number")
      .transform(Number)
      .pipe(z.number().min(min).max(max)),
  url: (...protocols: string[]) =>
    z
      .string()
      .refine(
        (text) => protocols.some((protocol) => URL.canParse(text) && text.startsWith(`${protocol}:`)),
        `give a URL: ${protocols.map((p) => `${p}://…`).join(", ")}`,
      ),
  oneOf: <const Values extends readonly [string, ...string[]]>(...values: Values) => z.enum(values),
  /** "host:port" or "unix:/path". */
  address: () => z.string().regex(/^(unix:\/.+|.+:\d{1,5})$/, "give host:port or unix:/path"),
} as const;

/** The settings are wrong; the message names every fault, one a line. For people, without a stack. */
export class ConfigError extends Error {
  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.name = "ConfigError";
  }
}

export interface ConfigSource {
  /** Command line after the command's own words. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Other PLENUM_ variables that are right to be there: those of services that share the environment. */
  readonly foreign?: readonly ConfigTable[];
}

const OUR_PREFIX = "PLENUM_";

function readFlags(table: ConfigTable, args: readonly string[], faults: string[]): Map<string, string> {
  const flags = new Map<string, string>();
  const known = new Set(Object.values(table).map(({ flag }) => flag));
  // Not strict, so that all faults are named at once.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([...known].map((flag) => [flag, { type: "string" as const }])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") faults.push(`${token.value} is not an option`);
    if (token.kind !== "option") continue;
    if (!known.has(token.name)) faults.push(`${token.rawName} is not an option`);
    else if (token.value === undefined) faults.push(`${token.rawName} needs a value`);
    else flags.set(token.name, token.value);
  }
  return flags;
}

/** Variables that look like ours and are nobody's: a misspelt name must not be ignored in silence. */
function unknownVariables(tables: readonly ConfigTable[], env: ConfigSource["env"]): string[] {
  const known = new Set(tables.flatMap((table) => Object.values(table).map((one) => one.env)));
  return Object.keys(env)
    .filter((name) => name.startsWith(OUR_PREFIX) && !known.has(name))
    .map((name) => `${name} is not a setting`);
}

/** Read all settings of a table: option, else variable, else default. Throws {@link ConfigError} with every fault. */
export function readConfig<Table extends ConfigTable>(table: Table, source: ConfigSource): ConfigOf<Table> {
  const faults = unknownVariables([table, ...(source.foreign ?? [])], source.env);
  const flags = readFlags(table, source.args, faults);
  const values: Record<string, unknown> = {};
  for (const [name, { env, flag, schema, secret }] of Object.entries(table)) {
    const given = flags.get(flag) ?? (source.env[env] === "" ? undefined : source.env[env]);
    const parsed = schema.safeParse(given);
    if (parsed.success) {
      values[name] = parsed.data;
      continue;
    }
    if (given === undefined) faults.push(`--${flag} (or ${env}) is required`);
    else
      faults.push(
        `--${flag} (or ${env}) is ${secret === true ? "wrong" : JSON.stringify(given)}: ${parsed.error.issues.map((issue) => issue.message).join("; ")}`,
      );
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return values as ConfigOf<Table>;
}

export interface DescribedKey {
  readonly flag: string;
  readonly env: string;
  /** As text; undefined when the setting is required. */
  readonly default: string | undefined;
  readonly description: string;
}

/** Every key for `--help` and for the reference pages. */
export function describeConfig(table: ConfigTable): DescribedKey[] {
  return Object.values(table).map(({ flag, env, schema, description, secret, defaultText }) => {
    const absent = schema.safeParse(undefined);
    const value = absent.success ? (absent.data === undefined ? "none" : secret === true ? "set" : String(absent.data)) : undefined;
    return { flag, env, default: defaultText ?? value, description };
  });
}

/** The options as `--help` shows them. */
export function configHelp(table: ConfigTable): string {
  const rows = describeConfig(table).map((row) => {
    const left = `  --${row.flag} <value>`;
    const rest = `${row.description} (${row.env}; ${row.default === undefined ? "required" : `default ${row.default}`})`;
    return { left, rest };
  });
  const width = Math.max(...rows.map(({ left }) => left.length)) + 2;
  return rows.map(({ left, rest }) => `${left.padEnd(width)}${rest}`).join("\n");
}
