import { total } from "./lib/drops.ts";
import { Datagrams } from "./lib/datagrams.ts";
import type { Sample } from "./lib/iperf.ts";
import { Namespaces } from "./lib/namespaces.ts";
import { judgedPackets } from "./lib/nftables.ts";
import { benchOptions } from "./lib/options.ts";
import { inTurn, printSides } from "./lib/pairs.ts";
import { bench } from "./lib/run.ts";
import { spreadText } from "./lib/stats.ts";
import { kernelSide, plenumSide, substrate, vethSide } from "./lib/sides.ts";

// UDP datagrams of 64 octets, as many as the sender can make, between guests of two hosts; groups and metering on, against the kernel's own
// parts with the same rules. DESIGN 6: processor time a delivered packet at most 1/1.3 of theirs. What sender and receiver themselves need
// is in all figures; "plain veth" is little else. Unexplained: a datagram lost that no counter has.

const { pairs, seconds } = benchOptions();
const OCTETS = 64;
await bench("small-packets", async (report, cleanup) => {
  const lab = substrate(cleanup);
  const namespaces = new Namespaces(cleanup);
  const sides = [plenumSide(lab), kernelSide(lab, namespaces), vethSide(namespaces)];
  const datagrams = await Datagrams.start(sides);
  for (const side of sides) await datagrams.sample(side, OCTETS, 500); // caches, ARP
  if (judgedPackets(sides[1]!.namespaces["k1"]!) === 0)
    throw new Error("the peer's rules see no packet: it would be measured without them");

  const rounds = await inTurn(sides, pairs, async (side) => {
    const sample = await datagrams.sample(side, OCTETS, seconds * 1_000);
    report.sample({ ...sample, void: isVoid(sample) });
    return sample;
  });
  printSides(report, rounds, isVoid, [
    { name: "delivered kpps", of: (s) => s.packets / s.seconds / 1e3, digits: 1 },
    { name: "CPU ns/packet", of: (s) => s.ownNs / s.packets, digits: 0, lessIsBetter: true },
    { name: "lost %", of: (s) => (100 * s.lost) / (s.lost + s.packets), digits: 2, noRatio: true },
  ]);
  const way = (round: readonly Sample[], side: number): number => {
    const [plain, other] = [round[2]!, round[side]!];
    return other.ownNs / other.packets - plain.ownNs / plain.packets;
  };
  const ratio = rounds.map((round) => way(round, 0) / way(round, 1));
  report.say(`the way alone (less what plain veth took): ${spreadText(ratio)} of the peer's CPU ns/packet`);
});

function isVoid(sample: Sample): boolean {
  return sample.lost > total(sample.drops);
}
