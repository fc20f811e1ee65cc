import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { startProbe } from "./lib/probe.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import type { Cleanup } from "./lib/run.ts";
import { quantile, spreadText } from "./lib/stats.ts";

// What an attach takes with real hosts, of this working copy and of another (`--peer <directory>`), both installed at once and asked in turn,
// so that a change can be judged on a busy machine. Beside bench/attach.ts, which compares with OVN.

type Times = Record<"committed" | "programmed" | "firstPacket" | "detached", number>;
const NAMES: Times = { committed: 0, programmed: 0, firstPacket: 0, detached: 0 };

/** After a detach: what the host has left to do of it is no cost of the next attach. */
const REST_MS = 60;
/** Rounds that do not count: code is compiled as it is used. */
const WARM = 15;

const number = { type: "string" } as const;
const { values } = parseArgs({ options: { pairs: number, peer: number } });

/** An installation of a working copy; answers what one attach of each kind takes, milliseconds. */
async function side(directory: string, say: (line: string) => void, cleanup: Cleanup): Promise<() => Promise<Times>> {
  const { install, makeNetwork, runGuest } = (await import(
    pathToFileURL(resolve(directory, "test/scenario/support/installation.ts")).href
  )) as typeof import("../test/scenario/support/installation.ts");
  const at = await install({ tell: say });
  cleanup(() => at.stop());
  const owner = await at.account();
  const { interfaces } = owner.clients;
  const network = await makeNetwork(owner.clients);
  const { instanceId } = await runGuest(at, owner, network, { host: 0 });
  const prober = await runGuest(at, owner, network, { host: 1 });
  const made = await interfaces.createInterface({ spec: { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] } });
  const { interfaceId = "", privateAddresses: [address = ""] = [] } = made.interface ?? {};
  const timed = async (call: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await call();
    return performance.now() - start;
  };
  const attach = (wait: WaitFor) => timed(() => interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait }));
  const detach = async (): Promise<number> => {
    const took = await timed(() => interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } }));
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    return took;
  };
  return async () => {
    const committed = await attach(WaitFor.COMMITTED);
    await detach();
    const programmed = await attach(WaitFor.PROGRAMMED);
    const detached = await detach();
    const probe = await startProbe(prober.netns, address);
    try {
      const start = performance.now();
      await attach(WaitFor.PROGRAMMED);
      return { committed, programmed, detached, firstPacket: (await probe.answered) - start };
    } finally {
      await probe.end();
      await detach();
    }
  };
}

await bench("attach-pairs", async (report, cleanup) => {
  const say = (line: string): void => report.say(line);
  const sides = [await side(".", say, cleanup), await side(values.peer ?? ".", say, cleanup)];
  const rounds: Times[][] = [];
  const pairs = Number(values.pairs ?? 30);
  for (let round = -WARM; round < pairs; round += 1) {
    const own: Times[] = [];
    for (let i = 0; i < sides.length; i += 1) {
      const which = (i + Math.abs(round)) % sides.length;
      const times = await sides[which]?.();
      if (times !== undefined) own[which] = times;
    }
    if (round < 0) continue;
    rounds.push(own);
    report.sample({ this: own[0], peer: own[1] });
  }
  const rows = [["", "ms p50", "peer", "ratio"]];
  for (const name of Object.keys(NAMES) as (keyof Times)[]) {
    const of = (which: number): number[] => rounds.map((round) => round[which]?.[name] ?? NaN);
    const ratios = of(0).map((value, i) => value / (of(1)[i] ?? NaN));
    rows.push([name, quantile(of(0), 0.5).toFixed(1), quantile(of(1), 0.5).toFixed(1), spreadText(ratios)]);
  }
  say(`${pairs} rounds, in turn; medians, ratios round by round (middle half)`);
  say(table(rows).join("\n"));
});
