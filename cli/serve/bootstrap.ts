import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import { openDatabase, safeName } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { createLog } from "#lib/log/log.ts";
import { replaceFile, writeFileOnce } from "#lib/process/files.ts";
import { SERVE_CONFIG } from "./config.ts";
import type { BootstrapConfig } from "./config.ts";
import { migrateAll } from "./migrate-all.ts";
import { scramSecret } from "./scram.ts";
import { SERVICES } from "./services.ts";

/** What an operator's token may live at most. */
const OPERATOR_TOKEN_S = 90 * 86_400;

/** Where an installation that is served service by service keeps what its services and its first operator need. */
export interface BootstrapFiles {
  /** The certificate authority's key and the key that signs tokens; all copies of all services share it. */
  readonly secrets: string;
  /** Root certificate, for clients. */
  readonly ca: string;
  readonly operatorToken: string;
  /** Settings of one service, as systemd's EnvironmentFile and `set -a; . file` read them. */
  environment(service: string): string;
}

export const bootstrapFiles = (directory: string): BootstrapFiles => ({
  secrets: join(directory, "secrets"),
  ca: join(directory, "ca.pem"),
  operatorToken: join(directory, "operator.token"),
  environment: (service) => join(directory, `${service}.env`),
});

/**
 * Makes what `plenum serve` needs and nobody else can make: keys, schemas, roles that may log in, and the first operator's token. A repeat
 * keeps what is there and repairs what is missing: passwords stay those of the files, a token that still counts stays.
 */
export async function bootstrap(config: BootstrapConfig, tell: (line: string) => void): Promise<BootstrapFiles> {
  const files = bootstrapFiles(config.configDir);
  await mkdir(config.configDir, { recursive: true, mode: 0o755 });
  const { ca } = await openCertificateAuthority(files.secrets);
  const tokens = await openTokenIssuer(files.secrets);
  await chmod(files.secrets, 0o700);
  await replaceFile(files.ca, ca, 0o644);
  tell(`keys in ${files.secrets}, the root certificate is ${files.ca}`);
  const db = openDatabase({ url: config.databaseUrl, log: createLog({ name: "bootstrap", level: "warn" }), connections: 2 });
  try {
    await migrateAll(db, tell);
    for (const [service, { databaseRole }] of Object.entries(SERVICES)) {
      const { password, kept } = await environmentOf(files.environment(service), databaseRole, config, files.secrets);
      await letLogIn(db, databaseRole, password);
      tell(`role ${databaseRole} may log in; ${files.environment(service)} ${kept ? "kept" : "written"}`);
    }
  } finally {
    await db.close();
  }
  tell(await operatorToken(tokens, files.operatorToken, config.operator));
  return files;
}

/** The environment file of a service, and the password in it: what is there already counts. */
async function environmentOf(
  path: string,
  role: string,
  config: BootstrapConfig,
  secretsDir: string,
): Promise<{ password: string; kept: boolean }> {
  const url = new URL(config.databaseUrl.replace(/^(postgres(?:ql)?:\/\/)(?=[/?])/, "$1localhost"));
  url.username = role;
  url.password = randomBytes(24).toString("hex");
  const lines = {
    [SERVE_CONFIG.databaseUrl.env]: url.href,
    [SERVE_CONFIG.natsUrl.env]: config.natsUrl,
    [SERVE_CONFIG.secretsDir.env]: secretsDir,
    [SERVE_CONFIG.serverNames.env]: config.serverNames,
  };
  const text = Object.entries(lines).map(([name, value]) => `${name}='${value}'\n`);
  const kept = !(await writeFileOnce(path, text.join(""), 0o600));
  const found = new RegExp(`^${SERVE_CONFIG.databaseUrl.env}=(['"]?)(.+)\\1$`, "m").exec(await readFile(path, "utf8"))?.[2];
  const password = found === undefined || !URL.canParse(found) ? "" : decodeURIComponent(new URL(found).password);
  if (password === "")
    throw new Error(`${path} has no ${SERVE_CONFIG.databaseUrl.env} with a password; remove the file to have it made anew`);
  return { password, kept };
}

/** The server never sees the password itself: nor does its log. */
async function letLogIn(db: Database<object>, role: string, password: string): Promise<void> {
  await db.pool.query(`ALTER ROLE ${safeName(role)} LOGIN PASSWORD '${scramSecret(password)}'`);
}

async function operatorToken(tokens: TokenIssuer, path: string, principalId: string): Promise<string> {
  const before = (await readFile(path, "utf8").catch(() => "")).trim();
  const counts =
    before !== "" &&
    (await tokens.verify(before).then(
      () => true,
      () => false,
    ));
  if (counts) return `${path} kept: it is still valid`;
  const { token, expiresAt } = await tokens.issue({ principalId, accountId: "", roles: ["operator"], ttlSeconds: OPERATOR_TOKEN_S });
  await replaceFile(path, `${token}\n`, 0o600);
  return `${path} written: ${principalId}, an operator, until ${expiresAt.toISOString()}`;
}
