import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { Ovsdb } from "./ovsdb.ts";
import { runNow, startProcess } from "./process.ts";
import type { Cleanup } from "./run.ts";

const NEEDED = ["/usr/bin/ovn-northd", "/usr/bin/ovn-controller", "/usr/sbin/ovs-vswitchd", "/usr/sbin/ovsdb-server"];
const LIMIT_MS = 20_000;

/** What its programs printed: only errors. */
const said: string[] = [];

/** Why OVN cannot be the peer here, or undefined. */
export function ovnMissing(): string | undefined {
  const missing = NEEDED.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `${missing.join(", ")} missing: apt-get install ovn-central ovn-host openvswitch-switch`;
}

/** A logical port that exists, not bound to a device yet: what a record of an interface is with us. */
export interface LogicalPort {
  name: string;
  mac: string;
  address: string;
}

/**
 * OVN with one chassis, all its programs in one namespace, the switch in user space (this kernel has no openvswitch module). One logical
 * switch; ports with port security, in a port group whose rules allow everything, both directions.
 */
export class Ovn {
  readonly #vswitch: Ovsdb;
  readonly #north: Ovsdb;
  readonly #up = new Map<string, (() => void)[]>();
  readonly #isUp = new Set<string>();

  private constructor(vswitch: Ovsdb, north: Ovsdb) {
    this.#vswitch = vswitch;
    this.#north = north;
  }

  static async start(netns: string, ports: readonly LogicalPort[], cleanup: Cleanup): Promise<Ovn> {
    const dir = mkdtempSync(join(tmpdir(), "plenum-ovn-"));
    willLeave({ kind: "directory", dir });
    cleanup(() => rmSync(dir, { recursive: true, force: true }));
    const at = (file: string): string => join(dir, file);
    const dirs = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR"];
    const env = { ...process.env, ...Object.fromEntries(dirs.map((name) => [name, dir])) };
    const start = (...argv: string[]): void =>
      void startProcess(["nsenter", `--net=${netns}`, "--", ...argv, "-vconsole:err", "-vsyslog:off"], (line) => said.push(line), env);
    const databases = [
      ["vs", "/usr/share/openvswitch/vswitch.ovsschema"],
      ["nb", "/usr/share/ovn/ovn-nb.ovsschema"],
      ["sb", "/usr/share/ovn/ovn-sb.ovsschema"],
    ] as const;
    for (const [name, schema] of databases) {
      runNow("ovsdb-tool", "create", at(`${name}.db`), schema);
      start("ovsdb-server", at(`${name}.db`), `--remote=punix:${at(`${name}.sock`)}`, `--unixctl=${at(`${name}.ctl`)}`);
    }
    const [vswitch, north] = [await opened(at("vs.sock")), await opened(at("nb.sock"))];
    await opened(at("sb.sock")).then((south) => south.close());
    await vswitch.transact("Open_vSwitch", {
      ...{ op: "insert", table: "Open_vSwitch" },
      row: {
        external_ids: map({
          ...{ "system-id": "chassis", "ovn-remote": `unix:${at("sb.sock")}`, "ovn-encap-type": "geneve", "ovn-encap-ip": "127.0.0.1" },
          "ovn-bridge-datapath-type": "netdev",
        }),
      },
    });
    start("ovs-vswitchd", `unix:${at("vs.sock")}`, "--disable-system", `--unixctl=${at("ovs-vswitchd.ctl")}`);
    start("ovn-northd", `--ovnnb-db=unix:${at("nb.sock")}`, `--ovnsb-db=unix:${at("sb.sock")}`, `--unixctl=${at("northd.ctl")}`);
    start("ovn-controller", `unix:${at("vs.sock")}`);
    const ovn = new Ovn(vswitch, north);
    cleanup(() => ovn.#close());
    await ovn.#makePorts(ports);
    const { promise, resolve } = Promise.withResolvers<void>();
    await vswitch.monitor("Open_vSwitch", "Bridge", ["name"], (_, row) => row.new?.["name"] === "br-int" && resolve());
    await within(promise, "ovn-controller has not made br-int");
    return ovn;
  }

  /** Gives a device to a logical port. Resolves when OVN says that the port is up. */
  async bind(port: LogicalPort, device: string): Promise<void> {
    const up = this.#whenUp(port.name);
    await this.#vswitch.transact(
      "Open_vSwitch",
      insert("Interface", { name: device, external_ids: map({ "iface-id": port.name }) }, "i"),
      insert("Port", { name: device, interfaces: ["named-uuid", "i"] }, "p"),
      mutate("Bridge", [["name", "==", "br-int"]], [["ports", "insert", ["named-uuid", "p"]]]),
      mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]),
    );
    await within(up, `port ${port.name} is not up`);
  }

  /** Takes the device away again. Resolves when the port is down. */
  async unbind(port: LogicalPort, device: string): Promise<void> {
    const [found] = await this.#vswitch.transact("Open_vSwitch", {
      ...{ op: "select", table: "Port", where: [["name", "==", device]], columns: ["_uuid"] },
    });
    const uuid = (found?.["rows"] as { _uuid: unknown }[])[0]?._uuid;
    const down = this.#whenDown(port.name);
    await this.#vswitch.transact("Open_vSwitch", mutate("Bridge", [["name", "==", "br-int"]], [["ports", "delete", uuid]]));
    await within(down, `port ${port.name} stays up`);
  }

  async #makePorts(ports: readonly LogicalPort[]): Promise<void> {
    await this.#north.monitor("OVN_Northbound", "Logical_Switch_Port", ["name", "up"], (_, row) => {
      const name = String(row.new?.["name"] ?? "");
      const up = row.new?.["up"] === true;
      if (up) this.#isUp.add(name);
      else this.#isUp.delete(name);
      for (const wake of this.#up.get(name) ?? []) wake();
    });
    const rows = ports.map(({ name, mac, address }, i) =>
      insert("Logical_Switch_Port", { name, addresses: `${mac} ${address}`, port_security: `${mac} ${address}` }, `p${i}`),
    );
    const named = ["set", ports.map((_, i) => ["named-uuid", `p${i}`])];
    const rules = (["from-lport", "to-lport"] as const).map((direction, i) =>
      insert(
        "ACL",
        { direction, priority: 1000, match: `${i === 0 ? "inport" : "outport"} == @open && ip4`, action: "allow-related" },
        `a${i}`,
      ),
    );
    await this.#north.transact(
      "OVN_Northbound",
      ...rows,
      ...rules,
      insert("Logical_Switch", { name: "net", ports: named }, "s"),
      insert("Port_Group", { name: "open", ports: named, acls: ["set", rules.map((_, i) => ["named-uuid", `a${i}`])] }, "g"),
    );
  }

  #whenUp(name: string): Promise<void> {
    return this.#when(name, () => this.#isUp.has(name));
  }
  #whenDown(name: string): Promise<void> {
    return this.#when(name, () => !this.#isUp.has(name));
  }

  #when(name: string, is: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!is()) return;
        this.#up.delete(name);
        resolve();
      };
      this.#up.set(name, [look]);
      look();
    });
  }

  #close(): void {
    this.#vswitch.close();
    this.#north.close();
  }
}

const map = (values: Record<string, string>): unknown => ["map", Object.entries(values)];
const insert = (table: string, row: Record<string, unknown>, name: string): Record<string, unknown> => ({
  ...{ op: "insert", table, row, "uuid-name": name },
});
const mutate = (table: string, where: unknown[], mutations: unknown[]): Record<string, unknown> => ({
  op: "mutate",
  table,
  where,
  mutations,
});

/** A server that was started a moment ago has no socket yet. */
async function opened(path: string): Promise<Ovsdb> {
  for (const end = performance.now() + LIMIT_MS; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    try {
      return await Ovsdb.open(path);
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

async function within(what: Promise<void>, otherwise: string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${otherwise} after ${LIMIT_MS} ms; OVN said: ${said.slice(-5).join(" | ")}`)), LIMIT_MS);
  try {
    await Promise.race([what, promise]);
  } finally {
    clearTimeout(timer);
  }
}
