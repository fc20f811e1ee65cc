import { ConfigError, configHelp, readConfig } from "#lib/config/config.ts";
import type { ConfigOf, ConfigTable } from "#lib/config/config.ts";
import type { Command } from "commander";
import { createLog } from "#lib/log/log.ts";
import { createShutdown, stopOnSignals } from "#lib/shutdown/shutdown.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { MIGRATE_CONFIG, SERVE_CONFIG } from "../serve/config.ts";

/** serve, migrate: for who runs services one by one, with a PostgreSQL and a NATS of their own. */
export function addServeCommands(program: Command): void {
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
    .addHelpText("after", () => `\nSettings:\n${configHelp(MIGRATE_CONFIG)}`)
    .action(async (settings: string[]) => migrateAll(settings));
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
  });
  shutdown.add("services", () => composition.stop());
  log.info({ api: composition.api, internal: config.internal }, "serving");
  await shutdown.finished;
}

async function migrateAll(settings: readonly string[]): Promise<void> {
  const [{ SERVICES }, { openDatabase }, { migrate }] = await Promise.all([
    import("../serve/services.ts"),
    import("#lib/db/database.ts"),
    import("#lib/db/migrate.ts"),
  ]);
  const config = settingsOf(MIGRATE_CONFIG, settings);
  const db = openDatabase({ url: config.databaseUrl, log: createLog({ name: "migrate", level: "warn" }) });
  try {
    for (const [name, { schema }] of Object.entries(SERVICES)) {
      if (schema === undefined) continue;
      const done = await migrate(db.kysely, schema.name, schema.migrations);
      process.stdout.write(`${name}: ${done.length === 0 ? "up to date" : done.join(", ")}\n`);
    }
  } finally {
    await db.close();
  }
}
