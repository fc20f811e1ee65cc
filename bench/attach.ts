import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { install, makeNetwork, runGuest } from "../test/scenario/support/installation.ts";
import { floorOf } from "./lib/floor.ts";
import { Namespaces } from "./lib/namespaces.ts";
import { benchOptions } from "./lib/options.ts";
import { ovnMissing } from "./lib/ovn.ts";
import { OvnBinder } from "./lib/ovn-binder.ts";
import { startProbe } from "./lib/probe.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import { quantile } from "./lib/stats.ts";

// AttachInterface to a running instance, devices made within, through a client that is kept open: until the transaction, until the host has
// programmed it, until another host's guest has the first answer. Against OVN's bind-to-up, through clients that are kept open too, with and
// without making the device; where OVN is not installed only against the floor. DESIGN 6: p50 at most a third of OVN's.

type Times = Record<string, number>;

/** After a detach: what the host has left to do of it (its device) is no cost of the next attach, but of one that comes sooner. */
const REST_MS = 60;

/** Rounds that do not count. A process is slower in its first hundred calls: code is compiled as it is used. */
const WARM = 15;

const { count } = benchOptions();
await bench("attach", async (report, cleanup) => {
  const interrupted = new AbortController();
  const starting = install({ tell: (line) => report.say(line), signal: interrupted.signal });
  cleanup(async () => {
    interrupted.abort();
    await starting.then(
      (started) => started.stop(),
      () => {}, // never began: it has removed what it had made
    );
  });
  const at = await starting;
  const namespaces = new Namespaces(cleanup);
  const owner = await at.account();
  const { interfaces } = owner.clients;
  const network = await makeNetwork(owner.clients);
  const target = await runGuest(at, owner, network, { host: 0 });
  const prober = await runGuest(at, owner, network, { host: 1 });
  const record = (await interfaces.createInterface({ spec: { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] } }))
    .interface!;
  const { interfaceId, privateAddresses } = record;

  const attach = async (wait: WaitFor): Promise<number> => {
    const start = performance.now();
    await interfaces.attachInterface({ spec: { interfaceId, instanceId: target.instanceId }, wait });
    return performance.now() - start;
  };
  const detachNow = async (): Promise<number> => {
    const start = performance.now();
    await interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    return performance.now() - start;
  };
  const detach = async (): Promise<number> => {
    const took = await detachNow();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    return took;
  };

  /** One attach of each kind. */
  const ours = async (): Promise<Times> => {
    const committed = await attach(WaitFor.COMMITTED);
    await detach();
    const programmed = await attach(WaitFor.PROGRAMMED);
    const detached = await detach();
    const reachable = await attach(WaitFor.REACHABLE);
    await detachNow();
    const again = await attach(WaitFor.PROGRAMMED);
    await detach();
    const probe = await startProbe(prober.netns, privateAddresses[0]!);
    try {
      const start = performance.now();
      await attach(WaitFor.PROGRAMMED);
      const firstPacket = (await probe.answered) - start;
      return { committed, programmed, reachable, again, firstPacket, detached };
    } finally {
      await probe.end();
      await detach();
    }
  };

  const missing = ovnMissing();
  if (missing !== undefined) report.say(`no OVN here, compared with the floor only: ${missing}`);
  const ovn = missing === undefined ? await OvnBinder.start(namespaces, cleanup) : undefined;
  const floor = floorOf(namespaces, cleanup);
  const samples: Times[] = [];
  for (let i = 0; i < WARM; i++) {
    await ours(); // connections, plans of queries, code that is compiled
    await ovn?.once();
  }
  for (let i = 0; i < count; i++) {
    const { devicesMs, mapsMs, removeMs } = floor();
    const sample = {
      ...(await ours()),
      ...(await ovn?.once()),
      floorDevices: devicesMs,
      floorMaps: mapsMs,
      floor: devicesMs + mapsMs,
      floorRemove: removeMs,
    };
    samples.push(sample);
    report.sample(sample);
  }
  const at50 = (name: string): number =>
    quantile(
      samples.map((sample) => sample[name]!),
      0.5,
    );
  const row = (text: string, name: string): string[] => {
    const values = samples.map((sample) => sample[name]!);
    return [text, ...[0.5, 0.95].map((q) => quantile(values, q).toFixed(2))];
  };
  report.say(`${count} of each, in turn; milliseconds`);
  const rows = [
    ["", "p50", "p95"],
    row("AttachInterface, COMMITTED (the transaction)", "committed"),
    row("AttachInterface, PROGRAMMED", "programmed"),
    row("AttachInterface, PROGRAMMED, at once after a detach of the same device", "again"),
    row("AttachInterface, REACHABLE (all hosts of the network know)", "reachable"),
    row("AttachInterface begun, to the first answer at another host's guest", "firstPacket"),
    row("DetachInterface", "detached"),
    row("floor: device alone", "floorDevices"),
    row("floor: device and maps", "floor"),
    row("floor: device removed", "floorRemove"),
    ...(ovn === undefined
      ? []
      : [
          row("OVN bind to up", "bind"),
          row("OVN device made, bound, up", "makeAndBind"),
          row("OVN device made, bound, first answer", "ovnFirstPacket"),
        ]),
  ];
  report.say(table(rows).join("\n"));
  const ratio = (text: string, a: string, b: string): string => `${text}: ${(at50(a) / at50(b)).toFixed(2)}`;
  if (ovn !== undefined) {
    report.say(ratio("p50 PROGRAMMED / OVN device made and bound", "programmed", "makeAndBind"));
    report.say(ratio("p50 PROGRAMMED / OVN bind to up (its device made before)", "programmed", "bind"));
    report.say(ratio("p50 first packet / OVN first packet", "firstPacket", "ovnFirstPacket"));
  }
  report.say(ratio("p50 PROGRAMMED / floor", "programmed", "floor"));
});
