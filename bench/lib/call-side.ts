import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Asked, CallKind, Sample, Statement } from "./call-kinds.ts";
import { cpuClock, cpuSince } from "./cpu.ts";

// One side of bench/attach-calls.ts, in a process of its own: a coordinator of the working copy that is named, on a PostgreSQL of its own,
// with hosts that acknowledge what they are told at once. What it answers is of the control plane alone.

const sent: { connection: number; from: number; to: number; text: string }[] = [];

/** Every statement is noted, whichever module sends it. */
function noteStatements(): void {
  const connections = new Map<unknown, number>();
  const { prototype } = pg.Client;
  const query = prototype.query as (...args: unknown[]) => unknown;
  prototype.query = function (this: unknown, ...args: unknown[]): unknown {
    const [first] = args;
    const text = typeof first === "string" ? first : ((first as { text?: string } | undefined)?.text ?? "");
    if (!connections.has(this)) connections.set(this, connections.size);
    const one = { connection: connections.get(this) ?? 0, from: performance.now(), to: NaN, text: text.replaceAll(/\s+/g, " ").trim() };
    sent.push(one);
    const done = (): void => void (one.to = performance.now());
    const last = args.at(-1);
    if (typeof last === "function") {
      const callback = last as (...results: unknown[]) => void;
      args[args.length - 1] = (...results: unknown[]): void => {
        done();
        callback(...results);
      };
      return query.apply(this, args);
    }
    const answer = query.apply(this, args) as Promise<unknown>;
    answer.then(done, done);
    return answer;
  } as typeof prototype.query;
}

async function serve(directory: string): Promise<void> {
  noteStatements();
  const { startWorld, ZONE } = (await import(
    pathToFileURL(join(directory, "coordinator/testing/world.ts")).href
  )) as typeof import("../../coordinator/testing/world.ts");
  const world = await startWorld();
  const hosts = [await world.host(), await world.host()];
  const { accountId, clients } = await world.account();
  // Creates in one subnet wait for each other: as many as there are at once.
  const networks = await Promise.all(Array.from({ length: 16 }, () => world.network(clients)));
  const [network] = networks;
  if (network === undefined) throw new Error("no network was made");
  const instances: string[] = [];
  for (const host of hosts) {
    const { instance, operation } = await world.operator.instances.runInstance({
      ownerAccount: accountId,
      hostId: host.hostId,
      zoneId: ZONE,
      interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId } } }],
    });
    await world.finished(world.operator, operation?.operationId);
    instances.push(instance?.instanceId ?? "");
  }
  const [instanceId = ""] = instances;
  const made = await clients.interfaces.createInterface({ spec: { subnetId: network.subnetId } });
  const interfaceId = made.interface?.interfaceId ?? "";

  const attach = (wait: WaitFor) => clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait });
  const detach = () => clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
  const settled = async (): Promise<void> => {
    // What the hosts say after the call's end is not this call's, nor the next one's.
    await new Promise((resolve) => setTimeout(resolve, 15));
  };
  let subnet = 0;
  /** Prepare, the call itself, put back. */
  const CALLS: Record<CallKind, readonly [() => Promise<unknown>, () => Promise<unknown>, () => Promise<unknown>]> = {
    committed: [settled, () => attach(WaitFor.COMMITTED), detach],
    programmed: [settled, () => attach(WaitFor.PROGRAMMED), detach],
    detached: [() => attach(WaitFor.PROGRAMMED).then(settled), detach, settled],
    created: [
      () => Promise.resolve(),
      () => clients.interfaces.createInterface({ spec: { subnetId: networks[subnet++ % networks.length]?.subnetId ?? "" } }),
      () => Promise.resolve(),
    ],
  };

  async function run({ kind, count, atOnce }: Asked): Promise<Sample> {
    const [before, call, after] = CALLS[kind];
    const wallMs: number[] = [];
    let statements = 0;
    let allMs = 0;
    let trace: Statement[] = [];
    const cpu = cpuClock();
    for (let done = 0; done < count; done += atOnce) {
      await before();
      const from = sent.length;
      const start = performance.now();
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          const begun = performance.now();
          await call();
          wallMs.push(performance.now() - begun);
        }),
      );
      allMs += performance.now() - start;
      statements += sent.length - from;
      trace = sent.slice(from).map((one) => ({ ...one, from: one.from - start, to: one.to - start }));
      await after();
      sent.length = 0;
      if (kind === "created") await forget(world);
    }
    return { statements: statements / count, cpuMs: cpuSince(cpu).ownNs / 1e6 / count, wallMs, allMs, trace };
  }

  /** A subnet must not fill up; not through the API, since that would be a call too. */
  let madeSoFar = 0;
  async function forget({ db }: typeof world): Promise<void> {
    madeSoFar += 1;
    if (madeSoFar % 50 !== 0) return;
    await db.pool.query(
      "DELETE FROM interface i WHERE NOT EXISTS (SELECT FROM attachment a WHERE a.interface_id = i.interface_id) AND interface_id <> $1",
      [interfaceId],
    );
    sent.length = 0;
  }

  process.on("message", (asked: Asked | "end") => {
    if (asked === "end") void world.stop().then(() => process.exit(0));
    else void run(asked).then((sample) => process.send?.(sample));
  });
  process.send?.("ready");
}

const [, , directory = ""] = process.argv;
await serve(directory);
