import { key, setting } from "#lib/config/config.ts";
import type { ConfigOf } from "#lib/config/config.ts";
import { DOOR_CONFIG } from "./doors.ts";

/** Settings of `plenum serve <service>`: one service in one process, any number of copies (C18). */
export const SERVE_CONFIG = {
  databaseUrl: key({
    env: "DATABASE_URL",
    flag: "database-url",
    schema: setting.url("postgres", "postgresql"),
    description: "PostgreSQL as the service's own role (C17)",
    secret: true,
  }),
  natsUrl: key({
    env: "NATS_URL",
    flag: "nats-url",
    schema: setting.url("nats"),
    description: "NATS server that carries hints",
    secret: true,
  }),
  secretsDir: key({
    env: "PLENUM_SECRETS_DIR",
    flag: "secrets-dir",
    schema: setting.text(),
    description: "Directory with the certificate authority and the token key; all copies of all services share its contents",
  }),
  api: key({
    env: "PLENUM_API_ADDRESS",
    flag: "api-address",
    schema: setting.address().default("127.0.0.1:7443"),
    description: "Where the API listens (TLS), host:port or unix:/path",
  }),
  internal: key({
    env: "PLENUM_INTERNAL_ADDRESS",
    flag: "internal-address",
    schema: setting.address().optional(),
    description: "Where hosts join and connect (mTLS), host:port; absent: hosts are not served",
  }),
  serverNames: key({
    env: "PLENUM_SERVER_NAMES",
    flag: "server-names",
    schema: setting.text().default("localhost,127.0.0.1"),
    description: "Names and addresses in the servers' certificate, comma separated",
  }),
  metrics: key({
    env: "PLENUM_METRICS_ADDRESS",
    flag: "metrics-address",
    schema: setting.address().default("127.0.0.1:9401"),
    description: "Where /metrics, /healthz and /readyz are served, host:port or unix:/path",
  }),
  ...DOOR_CONFIG,
  logLevel: key({
    env: "PLENUM_LOG_LEVEL",
    flag: "log-level",
    schema: setting.oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent").default("info"),
    description: "How much is logged",
  }),
} as const;

export type ServeConfig = ConfigOf<typeof SERVE_CONFIG>;

/** Settings of `plenum migrate`. */
export const MIGRATE_CONFIG = {
  databaseUrl: key({
    env: "DATABASE_ADMIN_URL",
    flag: "database-admin-url",
    schema: setting.url("postgres", "postgresql"),
    description: "PostgreSQL as a role that may create roles and schemas",
    secret: true,
  }),
} as const;

/** Settings of `plenum bootstrap`. */
export const BOOTSTRAP_CONFIG = {
  ...MIGRATE_CONFIG,
  natsUrl: key({
    env: "NATS_URL",
    flag: "nats-url",
    schema: setting.url("nats"),
    description: "NATS server that the services will use; goes into their files",
    secret: true,
  }),
  configDir: key({
    env: "PLENUM_CONFIG_DIR",
    flag: "config-dir",
    schema: setting.text().default("/etc/plenum"),
    description: "Directory for what is made: keys, root certificate, a file of settings for each service, the operator's token",
  }),
  serverNames: SERVE_CONFIG.serverNames,
  operator: key({
    env: "PLENUM_OPERATOR",
    flag: "operator",
    schema: setting.text().default("operator"),
    description: "Name of the first operator, for the audit",
  }),
} as const;

export type BootstrapConfig = ConfigOf<typeof BOOTSTRAP_CONFIG>;
