import { closeSync, readFileSync } from "node:fs";
import { withNamespace } from "#lib/linux/index.ts";
import type { Configuration, Packet } from "#lib/model/index.ts";
import type { MeterReading } from "../core/ports.ts";
import { buildTestBpf } from "../bpf/build.ts";
import { addressKey } from "../out/datapath/address.ts";
import { BpfMap, type MapName } from "../out/datapath/bpf-map.ts";
import { describeLayout } from "../out/datapath/describe-layout.ts";
import { ENUMS, MAPS, SCHEMA, STRUCTS } from "../out/datapath/layout.gen.ts";
import { check, mapLookup, mapUpdate, objGet } from "../out/datapath/libbpf.ts";
import { openObject, type OpenObject } from "../out/datapath/load.ts";
import { encode, readBigint, readNumber, u32 } from "../out/datapath/record.ts";
import { Lab, type LabHost } from "../out/datapath/testing/lab.ts";
import { TC_ACT_OK, testRun } from "../out/datapath/testing/test-run.ts";
import { readAnswer, readConnections, type Answer } from "./answer.ts";
import { configure, EMPTY } from "./configure.ts";
import { HERE, type World } from "./world.ts";

const PROGRAMS = ["test_from_instance", "test_from_tunnel"];
const DEVICES = 5;
/**
 * The tables that are the object's own: small, so that a story can fill them and reading them costs nothing. No story begins as many
 * connections as there is room for.
 */
const TABLE = 256;
const OWN = { connections: TABLE, untimed: 4096, sweeper: 1 } as const;
/** Whose entries fill the part of the table that a story is not to have. */
const FILLER = 0xffff_ffff;
/** Injected as the program's clock: a time that no timer of the kernel reaches. */
const EPOCH = 10n ** 18n;

/**
 * The program's deciding half on the maps of a real host, filled through the host agent's own port. One at a time in a process; it
 * must be disposed of.
 */
export class Program {
  readonly world: World;
  readonly #lab = new Lab();
  readonly #host: LabHost;
  readonly #maps: Record<MapName, BpfMap>;
  #object: OpenObject;
  #connections: BpfMap;
  #untimed: BpfMap;
  #layouts: { tunnel: Layout; control: Layout };
  #configuration = EMPTY;

  /** `objectPath`: of the test object, by default the one built from bpf/. */
  constructor(objectPath = buildTestBpf().objectPath) {
    this.#host = this.#lab.host("a", HERE);
    const guests = Array.from({ length: DEVICES }, (_, i) => this.#lab.guest(this.#host, `10.0.0.${i + 1}`));
    this.world = { ports: guests.map(({ endpoint }) => endpoint), tunnelIfindex: this.#host.options.tunnelIfindex };
    const pin = (name: string): number => check(objGet(`${this.#host.options.bpffsDir}/${SCHEMA}/maps/${name}`), `open ${name}`);
    this.#maps = Object.fromEntries(Object.keys(MAPS).map((name) => [name, BpfMap.own(name as MapName, pin(name))])) as Record<
      MapName,
      BpfMap
    >;
    this.#object = this.#open(objectPath);
    [this.#connections, this.#untimed] = tablesOf(this.#object);
    this.#layouts = layoutsOf(objectPath);
  }

  #open(objectPath: string): OpenObject {
    const shared = Object.values(this.#maps).filter(({ name }) => !(name in OWN));
    return openObject(objectPath, Object.fromEntries(shared.map(({ name, fd }) => [name, fd])), PROGRAMS, OWN);
  }

  /** Another object on the same maps. @throws Error if the verifier refuses it; the one before stays then */
  load(objectPath: string): void {
    const next = this.#open(objectPath);
    this.#object.close();
    this.#object = next;
    [this.#connections, this.#untimed] = tablesOf(next);
    this.#layouts = layoutsOf(objectPath);
  }

  /** Back to a host that knows nothing and remembers nothing. */
  reset(): void {
    this.configure(EMPTY);
    for (const map of [this.#connections, this.#untimed, this.#maps.fragments, this.#maps.budgets])
      for (const key of keysOf(map)) map.delete(key);
  }

  /**
   * Brings the maps to a configuration, as the reconciler would; connections stay, but those of interfaces that went: the kernel frees
   * them within five minutes of its own time, which no story knows.
   */
  configure(next: Configuration): void {
    const isOpen = (key: Buffer): boolean => next.endpoints.some((e) => e.wireId === key.readUInt32LE());
    for (const key of keysOf(this.#connections)) if (key.readUInt32LE() !== FILLER && !isOpen(key)) this.#connections.delete(key);
    for (const key of keysOf(this.#maps.budgets)) if (!isOpen(key)) this.#maps.budgets.delete(key);
    withNamespace(this.#host.path, () => configure(this.#host.datapath, this.#maps.host, this.#configuration, next));
    this.#configuration = next;
    this.#putBudgets(next);
    this.#fillTable(next);
    this.#leaveStaleIndex(next);
  }

  /** The index of devices may name an interface that has moved on: what counts is the endpoint. */
  #leaveStaleIndex({ endpoints }: Configuration): void {
    const [other] = endpoints;
    for (const { ifindex } of this.world.ports) {
      if (endpoints.some((e) => e.ifindex === ifindex)) continue;
      if (other !== undefined && other.wireId % 512 < 256) this.#maps.ports.put(u32(ifindex), u32(other.wireId));
      else this.#maps.ports.delete(u32(ifindex));
    }
  }

  /** Leaves as much room in the table as the configuration says. */
  #fillTable({ connectionTable }: Configuration): void {
    const all = keysOf(this.#connections);
    const fillers = all.filter((key) => key.readUInt32LE() === FILLER);
    const wanted = Math.min(TABLE - Math.min(TABLE, connectionTable), TABLE - (all.length - fillers.length));
    for (const key of fillers.slice(wanted)) this.#connections.delete(key);
    const there = new Set(fillers.slice(0, wanted).map((key) => key.toString("hex")));
    for (let n = 0; there.size < wanted; n++) {
      const key = encode("connection_key", { wire_id: FILLER, sport: n });
      this.#connections.put(key, Buffer.concat([key], STRUCTS.connection.size));
      there.add(key.toString("hex"));
    }
  }

  /** The limits of this configuration, with what the table holds now. */
  #putBudgets({ endpoints }: Configuration): void {
    const held = this.connections().map(({ wireId }) => wireId);
    for (const { wireId, connectionBudget, connectionShare } of endpoints) {
      const count = BigInt(held.filter((id) => id === wireId).length);
      const limits = { limit: connectionBudget, share: connectionShare };
      this.#maps.budgets.put(u32(wireId), encode("connection_budget", { wire_id: wireId, ...limits, count }));
    }
    this.#maps.common.put(u32(0), encode("connection_common", { taken: BigInt(this.common().beyond) }));
  }

  /** Decides a packet at a time in milliseconds, and lets it leave behind what it leaves. */
  run(packet: Packet, now: number): Answer {
    const { path } = this.#host;
    if (this.#configuration.connectionTable < TABLE) this.#fillTable(this.#configuration); // one may have gone
    const nanoseconds = EPOCH + BigInt(now) * 1_000_000n;
    this.#write("test_control", this.#layouts.control, { now: nanoseconds, commit: 1, vlan_tci: packet.vlanTci });
    if (packet.from === "tunnel") this.#inject(packet.key);
    const name = packet.from === "instance" ? "test_from_instance" : "test_from_tunnel";
    const ifindex = packet.from === "instance" ? packet.ifindex : this.world.tunnelIfindex;
    const { verdict } = testRun(this.#object.programFd(name), packet.frame, { path, ifindex, gsoSize: packet.gsoSize });
    if (verdict !== TC_ACT_OK) throw new Error(`${name} gave up`);
    const decision = this.peek("test_decision", STRUCTS.decision.size);
    const control = this.peek("test_control", this.#layouts.control.size);
    const read = (field: string): number => control.readUInt32LE(this.#layouts.control.fields[field]!.offset);
    return readAnswer(decision, { refused: read("refused"), refusedFor: read("refused_for"), bytes: read("bytes"), rawBytes: read("raw") });
  }

  /** What the table holds. */
  connections(): ReturnType<typeof readConnections> {
    return readConnections(this.#connections, EPOCH).filter(({ wireId }) => wireId !== FILLER);
  }

  /** What the meters of the configuration's interfaces have counted. */
  meters(): MeterReading[] {
    const { meters } = this.#maps;
    return this.#configuration.endpoints.flatMap(({ meterId }) =>
      (["ingress", "egress"] as const).flatMap((direction) => {
        const number = direction === "ingress" ? ENUMS.direction.DIRECTION_INGRESS : ENUMS.direction.DIRECTION_EGRESS;
        const value = meters.get(encode("meter_key", { meter_id: meterId, direction: number }));
        return value === undefined ? [] : [{ meterId, direction, ...totals(value, meters.stride) }];
      }),
    );
  }

  /** How many connections each interface is said to hold. */
  held(): Map<number, number> {
    const { count } = STRUCTS.connection_budget.fields;
    return new Map(
      [...this.#maps.budgets.entries()].map(([key, value]) => [key.readUInt32LE(), Number(value.readBigUInt64LE(count.offset))]),
    );
  }

  /** How many all interfaces hold beyond their shares, and how many the program says that they do. */
  common(): { beyond: number; said: number } {
    const beyond = [...this.#maps.budgets.entries()].map(([, value]) =>
      Math.max(0, Number(readBigint("connection_budget", value, "count")) - readNumber("connection_budget", value, "share")),
    );
    const said = this.#maps.common.get(u32(0)) ?? Buffer.alloc(STRUCTS.connection_common.size);
    return { beyond: beyond.reduce((sum, count) => sum + count, 0), said: Number(said.readBigInt64LE()) };
  }

  /** The one element, of this size, of a map that only the test object has. */
  peek(map: string, size: number): Buffer {
    const bytes = Buffer.alloc(size);
    check(mapLookup(this.#object.mapFd(map), u32(0), bytes), `read ${map}`);
    return bytes;
  }

  #poke(map: string, bytes: Buffer): void {
    check(mapUpdate(this.#object.mapFd(map), u32(0), bytes, 0n), `write ${map}`);
  }

  #inject(key: { vni: number; sender: string } | undefined): void {
    const { tunnel } = this.#layouts;
    if (key === undefined) this.#write("test_tunnel", tunnel, {});
    else this.#write("test_tunnel", tunnel, { present: 1, vni: key.vni, sender: addressKey(key.sender) });
  }

  #write(map: string, { size, fields }: Layout, values: Record<string, number | bigint | Buffer>): void {
    const bytes = Buffer.alloc(size);
    for (const [name, value] of Object.entries(values)) {
      const at = fields[name]!.offset;
      if (typeof value === "bigint") bytes.writeBigUInt64LE(value, at);
      else if (typeof value === "number") bytes.writeUInt32LE(value, at);
      else bytes.set(value, at);
    }
    this.#poke(map, bytes);
  }

  dispose(): void {
    this.#object.close();
    for (const map of Object.values(this.#maps)) closeSync(map.fd);
    this.#lab.dispose();
  }
}

function tablesOf(object: OpenObject): [BpfMap, BpfMap] {
  return [BpfMap.own("connections", object.mapFd("connections")), BpfMap.own("untimed", object.mapFd("untimed"))];
}

function keysOf(map: BpfMap): Buffer[] {
  return [...map.entries()].map(([key]) => Buffer.from(key));
}

/** Of all processors. */
function totals(value: Buffer, stride: number): { packets: bigint; bytes: bigint; rawBytes: bigint } {
  const sum = { packets: 0n, bytes: 0n, rawBytes: 0n };
  for (let at = 0; at < value.length; at += stride) {
    const one = value.subarray(at, at + stride);
    sum.packets += readBigint("meter", one, "packets");
    sum.bytes += readBigint("meter", one, "bytes");
    sum.rawBytes += readBigint("meter", one, "raw_bytes");
  }
  return sum;
}

function layoutsOf(objectPath: string): { tunnel: Layout; control: Layout } {
  const { structs } = describeLayout(readFileSync(objectPath));
  return { tunnel: structs["tunnel_source"]!, control: structs["test_control"]! };
}

type Layout = ReturnType<typeof describeLayout>["structs"][string];
