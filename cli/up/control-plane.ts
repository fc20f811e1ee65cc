// The control-plane process of `plenum up`: PostgreSQL, NATS and every service, inside a network namespace of its own (C18).
// Its only argument is a file with ControlPlaneConfig. Says "ready" to its launcher, and ends with it.
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { startNatsServer } from "#lib/bus/server.ts";
import type { LocalNats } from "#lib/bus/server.ts";
import { safeName } from "#lib/db/database.ts";
import { startPostgres } from "#lib/db/embedded.ts";
import { createLog } from "#lib/log/log.ts";
import { compose } from "../serve/compose.ts";
import { SERVICES } from "../serve/services.ts";
import { controlPlaneConfig } from "./control-plane-config.ts";

const NATS_BACKOFF_MS = 500;

const log = createLog({ name: "control-plane" });
const config = controlPlaneConfig.parse(JSON.parse(await readFile(process.argv[2] ?? "", "utf8")));
const undo: (() => Promise<unknown>)[] = [];
let stopping = false;

async function stop(why: string, code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ why }, "stopping");
  let exitCode = code;
  for (const step of undo.splice(0).reverse()) {
    await step().catch((error: unknown) => {
      log.error({ err: error }, "a part did not stop cleanly");
      exitCode = 1;
    });
  }
  process.exit(exitCode);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(signal, 0));
process.on("disconnect", () => void stop("the launcher is gone", 0));

/** As the superuser, over the socket: roles that services connect as. In the embedded server whoever reaches the socket is trusted. */
async function makeRoles(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const { databaseRole } of Object.values(SERVICES)) {
      const role = safeName(databaseRole);
      const { rowCount } = await client.query("SELECT FROM pg_roles WHERE rolname = $1", [role]);
      await client.query(rowCount === 0 ? `CREATE ROLE ${role} LOGIN` : `ALTER ROLE ${role} LOGIN`);
    }
  } finally {
    await client.end();
  }
}

/** The bus may be away for a while (C2), so its server is started again in place, under the same URL. */
async function keepNats(nats: LocalNats): Promise<void> {
  let current = nats;
  const { username: token, port } = new URL(nats.url);
  for (;;) {
    await current.exited;
    while (!stopping) {
      log.warn("nats-server ended; starting it again");
      try {
        current = await startNatsServer({ dataDir: config.dataDir, log, token, port: Number(port) });
        undo[0] = () => current.stop();
        break;
      } catch (error) {
        log.error({ err: error }, "nats-server does not start");
        await delay(NATS_BACKOFF_MS);
      }
    }
    if (stopping) return;
  }
}

try {
  const [postgres, nats] = await Promise.all([
    startPostgres({ dataDir: config.dataDir, log }),
    startNatsServer({ dataDir: config.dataDir, log }),
  ]);
  undo.push(
    () => nats.stop(),
    () => postgres.stop(),
  );
  void keepNats(nats);
  // Without its database nothing works: end, and be started again, with everything that recovers from it.
  void postgres.exited.then(() => stop("PostgreSQL ended", 1));
  await makeRoles(postgres.url);
  const composition = await compose({
    services: Object.keys(SERVICES),
    databaseUrl: (service) => postgres.url.replace(/^postgres:\/\/[^@]+@/, `postgres://${SERVICES[service]?.databaseRole ?? ""}@`),
    adminDatabaseUrl: postgres.url,
    natsUrl: nats.url,
    secretsDir: config.secretsDir,
    api: [`unix:${config.apiSocket}`],
    internal: config.internal,
    serverNames: config.serverNames,
    metrics: `unix:${config.metricsSocket}`,
    log,
  });
  undo.push(() => composition.stop());
  process.send?.("ready");
} catch (error) {
  log.fatal({ err: error }, "the control plane cannot start");
  await stop("start failed", 1);
}
