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
import { createShutdown, stopOnSignals } from "#lib/shutdown/shutdown.ts";
import { compose } from "../serve/compose.ts";
import { doorsOf } from "../serve/doors.ts";
import { SERVICES } from "../serve/services.ts";
import { controlPlaneConfig } from "./control-plane-config.ts";

const NATS_BACKOFF_MS = 500;
const DATABASE_STOP_MS = 20_000;

const log = createLog({ name: "control-plane" });
const config = controlPlaneConfig.parse(JSON.parse(await readFile(process.argv[2] ?? "", "utf8")));
const shutdown = createShutdown(log);
stopOnSignals(shutdown);

const end = (why: string, code: number): void => void shutdown.run(why).then((clean) => process.exit(clean ? code : 1));
process.on("disconnect", () => end("the launcher is gone", 0));

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

/** The bus may be away for a while (C2): a server that ends is started again in place, under the same URL. */
async function keepNats(first: LocalNats): Promise<void> {
  const { username: token, port } = new URL(first.url);
  let nats: LocalNats | undefined = first;
  shutdown.add("NATS", async () => nats?.stop());
  while (!shutdown.signal.aborted) {
    await nats?.exited;
    if (shutdown.signal.aborted) return;
    log.warn("nats-server ended; starting it again");
    nats = await startNatsServer({ dataDir: config.dataDir, log, token, port: Number(port) }).catch((error: unknown) => {
      log.error({ err: error }, "nats-server does not start");
      return undefined;
    });
    if (nats === undefined) await delay(NATS_BACKOFF_MS);
  }
  await nats?.stop(); // it came up while we were stopping
}

async function start(): Promise<void> {
  const [postgres, nats] = await Promise.all([
    startPostgres({ dataDir: config.dataDir, log }),
    startNatsServer({ dataDir: config.dataDir, log }),
  ]);
  shutdown.add("PostgreSQL", () => postgres.stop(), DATABASE_STOP_MS);
  void keepNats(nats);
  // Without its database nothing works: end, and be started again with everything that recovers from it.
  void postgres.exited.then(() => end("PostgreSQL ended", 1));
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
    ...(await doorsOf({ oidcFile: undefined, ...config.doors })),
    log,
  });
  shutdown.add("services", () => composition.stop());
  process.send?.("ready");
}

await start().catch((error: unknown) => {
  log.fatal({ err: error }, "the control plane cannot start");
  end("start failed", 1);
});
