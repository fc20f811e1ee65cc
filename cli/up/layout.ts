import { join } from "node:path";

/** Names of a run: everything it makes on the machine begins with the run's name, so that everything can be found again. */
export const RUN_NAME = /^pl[a-z0-9]{6}$/;

/** Sockets inside must fit sockaddr_un; longer data directories are refused. */
export const DATA_DIR_LIMIT = 80;

export const REGION = "region-1";
/** Hosts are spread over them in turn. */
export const ZONES = ["zone-a", "zone-b"] as const;
export const MAX_HOSTS = 100;

/** Inside the run's own namespaces only. */
const SUBSTRATE = "198.18.0";
export const SUBSTRATE_LENGTH = 24;
export const CONTROL_PLANE_ADDRESS = `${SUBSTRATE}.1`;
export const INTERNAL_PORT = 7444;
export const INTERNAL_ENDPOINT = `${CONTROL_PLANE_ADDRESS}:${INTERNAL_PORT}`;

/** One host of a cluster on one machine, before it has joined. */
export interface HostPlan {
  /** "h1". */
  name: string;
  zone: string;
  /** Name under /run/netns; its guests' namespaces begin with it, too. */
  namespace: string;
  /** On the substrate. */
  address: string;
  /** Device of the substrate inside the host's namespace. */
  device: string;
  stateDir: string;
  /** Where its own BPF file system is mounted. */
  bpffs: string;
  logFile: string;
}

/** Where a run keeps what. */
export interface Layout {
  run: string;
  dataDir: string;
  controlPlaneNamespace: string;
  apiSocket: string;
  metricsSocket: string;
  caFile: string;
  tokenFile: string;
  /** Certificate authority and token key. */
  secretsDir: string;
  controlPlaneLog: string;
  controlPlaneConfig: string;
  hosts: HostPlan[];
}

export function layout(run: string, dataDir: string, hosts: number): Layout {
  if (!RUN_NAME.test(run)) throw new RangeError(`not the name of a run: ${JSON.stringify(run)}`);
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MAX_HOSTS) throw new RangeError(`1 to ${MAX_HOSTS} hosts, not ${hosts}`);
  return {
    run,
    dataDir,
    controlPlaneNamespace: `${run}-cp`,
    apiSocket: join(dataDir, "api.sock"),
    metricsSocket: join(dataDir, "metrics.sock"),
    caFile: join(dataDir, "ca.pem"),
    tokenFile: join(dataDir, "operator.token"),
    secretsDir: join(dataDir, "secrets"),
    controlPlaneLog: join(dataDir, "logs", "control-plane.log"),
    controlPlaneConfig: join(dataDir, "control-plane.json"),
    hosts: Array.from({ length: hosts }, (_, index) => hostPlan(run, dataDir, index)),
  };
}

function hostPlan(run: string, dataDir: string, index: number): HostPlan {
  const name = `h${index + 1}`;
  return {
    name,
    zone: ZONES[index % ZONES.length] ?? ZONES[0],
    namespace: `${run}-${name}`,
    address: `${SUBSTRATE}.${index + 11}`,
    device: "sub0",
    stateDir: join(dataDir, "hosts", name),
    bpffs: join(dataDir, "hosts", name, "bpf"),
    logFile: join(dataDir, "logs", `${name}.log`),
  };
}
