import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CliError, ExitCode } from "./cli-error.ts";

/** Where the last `plenum up` on this machine left its data directory's path. */
export const CURRENT_POINTER = "/run/plenum/current";
export const CONTEXT_FILE = "context.json";

/** Written by `plenum up` into its data directory: how to reach it as its operator. */
export const contextSchema = z.object({
  /** "127.0.0.1:7443". */
  endpoint: z.string(),
  caFile: z.string(),
  tokenFile: z.string(),
  /** Name of the run; its namespaces begin with it. */
  run: z.string(),
});
export type ContextFile = z.infer<typeof contextSchema>;

export interface ConnectionFlags {
  endpoint?: string;
  tokenFile?: string;
  caFile?: string;
  dataDir?: string;
}

export interface Connection {
  /** "host:port" or "unix:/path". */
  endpoint: string;
  ca: string;
  token: string;
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CliError(`${what} ${path} cannot be read: ${(error as Error).message}`, `name a file that you may read`, ExitCode.USAGE, {
      cause: error,
    });
  }
}

/** The context of a data directory, else of the last `plenum up` here; undefined if there is none. */
async function findContext(dataDir: string | undefined): Promise<ContextFile | undefined> {
  const directory = dataDir ?? (await readFile(CURRENT_POINTER, "utf8").catch(() => "")).trim();
  if (directory === "") return undefined;
  const path = join(directory, CONTEXT_FILE);
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined && dataDir !== undefined) {
    throw new CliError(
      `nothing runs in ${dataDir}: there is no ${path}`,
      `start it: plenum up --data-dir ${dataDir}`,
      ExitCode.UNREACHABLE,
    );
  }
  if (text === undefined) return undefined;
  return contextSchema.parse(JSON.parse(text));
}

/** "https://127.0.0.1:7443/" is as good as "127.0.0.1:7443". */
export function normaliseEndpoint(endpoint: string): string {
  const bare = endpoint.replace(/^https:\/\//, "").replace(/\/$/, "");
  if (/^unix:\/.+/.test(bare) || /^[^\s/]+:\d{1,5}$/.test(bare)) return bare;
  throw new CliError(
    `${JSON.stringify(endpoint)} is not an endpoint`,
    "write host:port or unix:/path/of/socket (TLS is always used)",
    ExitCode.USAGE,
  );
}

/** Each part by itself: flag, then PLENUM_*, then the context file. @throws CliError that names what is missing */
export async function resolveConnection(flags: ConnectionFlags, env: NodeJS.ProcessEnv): Promise<Connection> {
  const context = await findContext(flags.dataDir ?? env["PLENUM_DATA_DIR"]);
  const endpoint = flags.endpoint ?? env["PLENUM_ENDPOINT"] ?? context?.endpoint;
  const caFile = flags.caFile ?? env["PLENUM_CA_FILE"] ?? context?.caFile;
  const tokenFile = flags.tokenFile ?? env["PLENUM_TOKEN_FILE"] ?? context?.tokenFile;
  const missing = [
    ...(endpoint === undefined ? ["--endpoint (PLENUM_ENDPOINT)"] : []),
    ...(caFile === undefined ? ["--ca-file (PLENUM_CA_FILE)"] : []),
    ...(tokenFile === undefined ? ["--token-file (PLENUM_TOKEN_FILE)"] : []),
  ];
  if (endpoint === undefined || caFile === undefined || tokenFile === undefined) {
    throw new CliError(
      `nothing says how to reach Plenum: ${missing.join(", ")} missing`,
      `give them, or start one here with \`plenum up\` (its context is found by itself), or name its data directory with --data-dir`,
      ExitCode.USAGE,
    );
  }
  const [ca, token] = await Promise.all([readText(caFile, "the CA file"), readText(tokenFile, "the token file")]);
  return { endpoint: normaliseEndpoint(endpoint), ca, token: token.trim() };
}
