import { ConfigError, configHelp, readConfig } from "#lib/config/config.ts";
import type { ConfigOf, ConfigTable } from "#lib/config/config.ts";
import type { Command } from "commander";
import { createLog } from "#lib/log/log.ts";
import { createShutdown, stopOnSignals } from "#lib/shutdown/shutdown.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { BOOTSTRAP_CONFIG, MIGRATE_CONFIG, SERVE_CONFIG } from "../serve/config.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** bootstrap, serve, migrate: for who runs services one by one, with a PostgreSQL and a NATS of their own. */
export function addServeCommands(program: Command): void {
  program
    .command("bootstrap [settings...]")
    .description("prepare a PostgreSQL of your own for `plenum serve`: keys, schemas, roles, the first operator's token; a repeat is safe")
    .allowUnknownOption()
    .addHelpText(
      "after",
      () =>
        `\nSettings:\n${configHelp(BOOTSTRAP_CONFIG)}\n\nExample:\n  DATABASE_ADMIN_URL=postgres://admin:…@db/plenum plenum bootstrap --nats-url nats://nats:4222 --server-names cp.example.net`,
    )
    .action(async (settings: string[]) => bootstrapAll(settings));
  program
    .command("serve <service> [settings...]")
    .description("run one service: coordinator or mapping-service")
    .allowUnknownOption()
    .addHelpText(
      "after",
      () =>
        `\nSettings:\n${configHelp(SERVE_CONFIG)}\n\nExample:\n  plenum serve coordinator --secrets-dir /etc/plenum/secrets --internal-address 0.0.0.0:7444`,
    )
    .action(async (service: string, settings: string[]) => serve(service, settings));
  program
    .command("migrate [settings...]")
    .description("bring the database's schemas up to date")
    .allowUnknownOption()
    .addHelpText(
      "after",
      () =>
        `\nSettings:\n${configHelp(MIGRATE_CONFIG)}\n\nTo upgrade: hosts' agents first, then this with the new version, then at once the services (docs/guides/install.md).\n\nExample:\n  DATABASE_ADMIN_URL=postgres://admin:…@db/plenum plenum migrate`,
    )
    .action(async (settings: string[]) => migrateSchemas(settings));
}

function settingsOf<Table extends ConfigTable>(table: Table, args: readonly string[]): ConfigOf<Table> {
  const names = Object.values(table).map(({ env }) => env);
  const env = Object.fromEntries(names.map((name) => [name, process.env[name]])); // PLENUM_ENDPOINT and the like are other commands'
  try {
    return readConfig(table, { args, env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError(error.message, "the settings are in `--help` of this command", ExitCode.USAGE, { cause: error });
  }
}

async function serve(service: string, settings: readonly string[]): Promise<void> {
  const [{ compose }, { SERVICES }, { doorsOf }] = await Promise.all([
    import("../serve/compose.ts"),
    import("../serve/services.ts"),
    import("../serve/doors.ts"),
  ]);
  if (!Object.hasOwn(SERVICES, service))
    throw new CliError(`there is no service ${service}`, `there are ${Object.keys(SERVICES).join(", ")}`, ExitCode.USAGE);
  const config = settingsOf(SERVE_CONFIG, settings);
  const log = createLog({ name: service, level: config.logLevel });
  const shutdown = createShutdown(log);
  stopOnSignals(shutdown);
  const composition = await compose({
    services: [service],
    databaseUrl: () => config.databaseUrl,
    natsUrl: config.natsUrl,
    secretsDir: config.secretsDir,
    api: [config.api],
    internal: config.internal,
    serverNames: config.serverNames.split(",").map((name) => name.trim()),
    metrics: config.metrics,
    ...(await doorsOf(config)),
    log,
  }).catch((error: unknown) => {
    throw new CliError(
      `${service} cannot start: ${messageOf(error)}`,
      "`plenum bootstrap` prepares the database and the keys; `plenum serve --help` has the settings",
      ExitCode.FAILED,
      { cause: error },
    );
  });
  shutdown.add("services", () => composition.stop());
  log.info({ api: composition.api, internal: config.internal }, "serving");
  await shutdown.finished;
}

/** As a role that may everything, with the URL for people (no password in it). */
async function asAdmin<Result>(databaseUrl: string, body: () => Promise<Result>): Promise<Result> {
  try {
    return await body();
  } catch (error) {
    const { host, pathname } = new URL(databaseUrl);
    throw new CliError(
      `PostgreSQL at ${host}${pathname} cannot be prepared: ${messageOf(error)}`,
      "see that it runs there, and that the role of DATABASE_ADMIN_URL may create roles and owns the database",
      ExitCode.FAILED,
      { cause: error },
    );
  }
}

/** Of an error and of what caused it; one of several attempts speaks for all. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return messageOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messageOf(error.cause)}`;
}

async function migrateSchemas(settings: readonly string[]): Promise<void> {
  const config = settingsOf(MIGRATE_CONFIG, settings);
  const [{ migrateAll }, { openDatabase }] = await Promise.all([import("../serve/migrate-all.ts"), import("#lib/db/database.ts")]);
  const db = openDatabase({ url: config.databaseUrl, log: createLog({ name: "migrate", level: "warn" }) });
  try {
    await asAdmin(config.databaseUrl, () => migrateAll(db, say));
  } finally {
    await db.close();
  }
}

async function bootstrapAll(settings: readonly string[]): Promise<void> {
  const config = settingsOf(BOOTSTRAP_CONFIG, settings);
  const { bootstrap } = await import("../serve/bootstrap.ts");
  const files = await asAdmin(config.databaseUrl, () => bootstrap(config, say));
  const [first = "", ...rest] = config.serverNames.split(",").map((name) => name.trim());
  say(`
Run each service with its file, on machines that are called ${[first, ...rest].join(" or ")} (docs/guides/install.md has units for systemd):
  set -a; . ${files.environment("coordinator")}; set +a
  plenum serve coordinator --api-address 0.0.0.0:7443 --internal-address 0.0.0.0:7444

and speak to it as its operator:
  export PLENUM_ENDPOINT=${first}:7443 PLENUM_CA_FILE=${files.ca} PLENUM_TOKEN_FILE=${files.operatorToken}
  plenum whoami`);
}
