import { Lab } from "../host-agent/out/datapath/testing/lab.ts";
import { total } from "./lib/drops.ts";
import { iperfSample, startServers } from "./lib/iperf.ts";
import type { Sample } from "./lib/iperf.ts";
import { Namespaces } from "./lib/namespaces.ts";
import { judgedPackets } from "./lib/nftables.ts";
import { benchOptions } from "./lib/options.ts";
import { inTurn, printSides } from "./lib/pairs.ts";
import { bench } from "./lib/run.ts";
import { spreadText } from "./lib/stats.ts";
import { kernelSide, plenumSide, vethSide } from "./lib/sides.ts";

// UDP datagrams of 64 octets, as many as the sender can make, between guests of two hosts; groups and metering on, against the kernel's own
// parts with the same rules. DESIGN 6: processor time a delivered packet at most 1/1.3 of theirs. What sender and receiver themselves need
// (a system call a packet each) is in all figures; "plain veth" is mostly that. Unexplained: a datagram lost that no counter has.

const { pairs, seconds } = benchOptions();
const args = (duration: number): string[] => ["-u", "-l", "64", "-b", "0", "-t", String(duration)];
await bench("small-packets", async (report, cleanup) => {
  const lab = new Lab();
  cleanup(() => lab.dispose());
  const namespaces = new Namespaces(cleanup);
  const sides = [plenumSide(lab), kernelSide(lab, namespaces), vethSide(namespaces)];
  await startServers(sides);
  for (const side of sides) await iperfSample(side, args(1)); // caches, ARP
  if (judgedPackets(sides[1]!.namespaces["k1"]!) === 0)
    throw new Error("the peer's rules see no packet: it would be measured without them");

  const rounds = await inTurn(sides, pairs, async (side) => {
    const sample = await iperfSample(side, args(seconds));
    report.sample({ ...sample, void: isVoid(sample) });
    return sample;
  });
  printSides(report, rounds, isVoid, [
    { name: "delivered kpps", of: (s) => s.packets / s.seconds / 1e3, digits: 1 },
    { name: "CPU ns/packet", of: (s) => s.busyNs / s.packets, digits: 0, lessIsBetter: true },
    { name: "lost %", of: (s) => (100 * s.lost) / (s.lost + s.packets), digits: 2, noRatio: true },
  ]);
  const way = (round: readonly Sample[], side: number): number => {
    const [plain, other] = [round[2]!, round[side]!];
    return other.busyNs / other.packets - plain.busyNs / plain.packets;
  };
  const ratio = rounds.map((round) => way(round, 0) / way(round, 1));
  report.say(`the way alone (less what plain veth took): ${spreadText(ratio)} of the peer's CPU ns/packet`);
});

function isVoid(sample: Sample): boolean {
  return sample.lost > total(sample.drops);
}
