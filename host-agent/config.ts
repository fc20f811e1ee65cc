import { hostname } from "node:os";
import { key, setting } from "#lib/config/config.ts";
import type { ConfigOf } from "#lib/config/config.ts";

/** Every setting of the host agent. */
export const AGENT_CONFIG = {
  stateDir: key({
    env: "PLENUM_HOST_STATE_DIR",
    flag: "state-dir",
    schema: setting.text(),
    description: "Directory of the host's identity, of the state of its instances and of its pinned programs; kept over restarts",
  }),
  internalEndpoint: key({
    env: "PLENUM_HOST_INTERNAL_ENDPOINT",
    flag: "internal-endpoint",
    schema: setting.address(),
    description: "Internal listener of the coordinator, host:port",
  }),
  mappingEndpoint: key({
    env: "PLENUM_HOST_MAPPING_ENDPOINT",
    flag: "mapping-endpoint",
    schema: setting.address().optional(),
    description: "Internal listener of the mapping service, host:port; the coordinator's if absent",
  }),
  apiEndpoint: key({
    env: "PLENUM_HOST_API_ENDPOINT",
    flag: "api-endpoint",
    schema: setting.address().optional(),
    description:
      "API listener for instances that act as principals, host:port or unix:/path, as this host reaches it; without it such instances fail here",
  }),
  substrateAddress: key({
    env: "PLENUM_HOST_SUBSTRATE_ADDRESS",
    flag: "substrate-address",
    schema: setting.text(),
    description: "IPv4 address of this host at which others reach its tunnel; a device of this namespace holds it",
  }),
  joinTokenFile: key({
    env: "PLENUM_HOST_JOIN_TOKEN_FILE",
    flag: "join-token-file",
    schema: setting.text().optional(),
    description: "File with the join token; read only while the host has no valid certificate",
  }),
  name: key({
    env: "PLENUM_HOST_NAME",
    flag: "name",
    schema: setting.text().default(() => hostname().split(".")[0]?.toLowerCase() ?? "host"),
    defaultText: "the machine's name",
    description: "Name to join under: 1 to 63 lower case letters, digits, hyphens",
  }),
  bpffsDir: key({
    env: "PLENUM_HOST_BPFFS_DIR",
    flag: "bpffs-dir",
    schema: setting.text().optional(),
    description: "Directory in a mounted bpffs for pins, this host's own; if absent, one is mounted at <state-dir>/bpf",
  }),
  attachMode: key({
    env: "PLENUM_HOST_ATTACH_MODE",
    flag: "attach-mode",
    schema: setting.oneOf("clsact", "tcx").default("clsact"),
    description: "How programs are attached to devices (docs/adr/0006); change it only while the host carries no instance",
  }),
  namespacePrefix: key({
    env: "PLENUM_HOST_NAMESPACE_PREFIX",
    flag: "namespace-prefix",
    schema: setting.text().optional(),
    description: "Instances' network namespaces are named <prefix>-<instance>; unique on the machine; the host's name if absent",
  }),
  maxInstances: key({
    env: "PLENUM_HOST_MAX_INSTANCES",
    flag: "max-instances",
    schema: setting.integer(1, 65_536).default(4_096),
    description: "Instances that are placed on this host at most; told with each session, ends none that are there",
  }),
  metricsAddress: key({
    env: "PLENUM_HOST_METRICS_ADDRESS",
    flag: "metrics-address",
    schema: setting.text().default("127.0.0.1:9402"),
    description: "Where /metrics, /healthz and /readyz are served, host:port; 'none' for nowhere",
  }),
  meterGraceMs: key({
    env: "PLENUM_HOST_METER_GRACE_MS",
    flag: "meter-grace-ms",
    schema: setting.integer(0, 10_000).default(30),
    description: "Milliseconds from closing an interface to the last reading of its meter, 0 to 10000",
  }),
  meterLingerMs: key({
    env: "PLENUM_HOST_METER_LINGER_MS",
    flag: "meter-linger-ms",
    schema: setting.integer(0, 3_600_000).default(30_000),
    description: "Milliseconds from a last reading to the end of its meter where the coordinator acknowledges none, 0 to 3600000",
  }),
  logLevel: key({
    env: "PLENUM_HOST_LOG_LEVEL",
    flag: "log-level",
    schema: setting.oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent").default("info"),
    description: "How much is logged",
  }),
} as const;

export type AgentConfig = ConfigOf<typeof AGENT_CONFIG>;
