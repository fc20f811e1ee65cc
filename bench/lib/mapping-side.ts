import type { MappingItem, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingAgent } from "./mapping-agent.ts";
import { mappingModules } from "./mapping-modules.ts";
import { wholePath } from "./mapping-path.ts";
import type { Asked, Memory, Stage, StageTimes } from "./mapping-stages.ts";
import { runNow } from "./process.ts";

// One side of bench/mappings.ts, in a process of its own (with --expose-gc): service and agent of the working copy that is named, on
// maps of its own.

const NETWORK = { networkId: 500n, vni: 500 };
const HOSTS = 100;
const WATCHERS = 100;
/** Changes in a sample of one: a single one is too short to be measured. */
const CHANGES = 100;
const LOOKUPS = 100_000;

const hex = (number: number): string => number.toString(16).padStart(32, "0");

function itemOf(i: number, moved = 0): MappingItem {
  const host = 1 + ((i + moved) % HOSTS);
  const ids = { interfaceId: `eni-${hex(i)}`, attachmentId: `eni-attach-${hex(i)}`, hostId: `host-${hex(host)}` };
  const rest = { wireId: i + 1, hostAddress: `198.18.0.${host}`, groupSetId: i % 7, macAddress: "02:00:00:00:00:01", weight: 1 };
  return { prefix: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`, targets: [{ ...ids, ...rest }] };
}

function octets(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + Math.max(arrayBuffers, external);
}

async function serve(directory: string, count: number): Promise<void> {
  const modules = await mappingModules(directory);
  const lab = new modules.Lab();
  const host = lab.host("h1", "198.18.0.1");
  const kernelOctets = (): number => {
    const map = runNow("bpftool", "-j", "map", "show", "pinned", `${host.options.bpffsDir}/${modules.SCHEMA}/maps/mappings`);
    return (JSON.parse(map) as { bytes_memlock: number }).bytes_memlock;
  };
  const memory: Memory = { kernel: NaN, kernelEmpty: kernelOctets() / count, service: NaN, agent: NaN };
  const feed = new modules.NetworkFeed({ ...NETWORK, seed: 1, onFault: (_item, error) => void process.stderr.write(String(error)) });
  const table = feed.newTable();
  for (let i = 0; i < count; i += 1) feed.keep(table, itemOf(i), "set");
  feed.replace({ version: 1n, mark: 1n }, table);
  memory.service = table.octets / count;
  let version = 1n;

  function* messages(): Generator<WatchMappingsResponse> {
    const { at, frames } = feed.snapshot();
    for (const frame of [modules.beginFrame(feed, 1n, at.version), ...frames]) yield modules.WatchMappingsResponse.decode(frame);
  }
  const watchers = (): InstanceType<typeof modules.WatchSession>[] =>
    Array.from({ length: WATCHERS }, () => {
      const session = new modules.WatchSession();
      session.open(feed, 1n);
      return session;
    });
  const drain = (sessions: ReturnType<typeof watchers>): void => {
    for (const session of sessions) while (session.next() !== undefined);
  };

  async function round(): Promise<StageTimes> {
    const times = {} as StageTimes;
    const timed = async (stage: Stage, work: () => void | Promise<void>): Promise<void> => {
      (globalThis as { gc?: () => void }).gc?.();
      const cpu = process.cpuUsage();
      const start = performance.now();
      await work();
      const ms = performance.now() - start;
      const { user, system } = process.cpuUsage(cpu);
      times[stage] = { cpuMs: (user + system) / 1e3, ms };
    };
    feed.rest(); // twice: frames that were used since the last time are kept once more
    feed.rest();
    await timed("packed", () => void feed.snapshot());
    const all = watchers();
    await timed("told", () => drain(all));
    await timed("changed", () => {
      for (let change = 0; change < CHANGES; change += 1) {
        version += 1n;
        feed.apply({ version, mark: version, items: [itemOf(change, Number(version))] });
        for (const session of all) session.wake(NETWORK.networkId);
        drain(all);
      }
    });
    await timed("looked", () => {
      for (let i = 0; i < LOOKUPS; i += 1) {
        const n = (i * 7_919) % count;
        const found = feed.table.get(`${i % 2 === 0 ? 10 : 11}.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`);
        if (found.length !== (i + 1) % 2) throw new Error("a lookup went wrong");
      }
    });
    feed.snapshot();
    const before = octets();
    const agent = new MappingAgent(modules, host.datapath, NETWORK);
    await timed("received", () => agent.receiveAll(messages()));
    await timed("written", () => agent.apply());
    memory.agent = (octets() - before) / count;
    memory.kernel = kernelOctets() / count - memory.kernelEmpty;
    await timed("repeated", async () => {
      await agent.receiveAll(messages());
      agent.apply();
    });
    await timed("adopted", async () => {
      lab.reopen(host);
      agent.restart(host.datapath);
      await agent.receiveAll(messages());
      agent.apply();
    });
    await timed("removed", () => agent.leave());
    return times;
  }

  const answers: Record<Exclude<Asked["kind"], "end">, () => unknown> = {
    round,
    memory: () => memory,
    path: () => wholePath(modules, host.datapath, count),
  };
  process.on("message", ({ kind }: Asked) => {
    if (kind === "end") {
      lab.dispose();
      process.exit(0);
    }
    void Promise.resolve(answers[kind]()).then((answer) => process.send?.(answer));
  });
  process.send?.("ready");
}

const [, , directory = "", count = ""] = process.argv;
await serve(directory, Number(count));
