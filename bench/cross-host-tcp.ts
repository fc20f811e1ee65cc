import { iperfSample, startServers } from "./lib/iperf.ts";
import type { Sample } from "./lib/iperf.ts";
import { Namespaces } from "./lib/namespaces.ts";
import { judgedPackets } from "./lib/nftables.ts";
import { benchOptions } from "./lib/options.ts";
import { inTurn, printSides } from "./lib/pairs.ts";
import { bench } from "./lib/run.ts";
import { kernelSide, plenumSide, substrate, vethSide } from "./lib/sides.ts";

// One TCP connection between guests of two hosts, groups and metering on, against the kernel's own parts with the same rules. DESIGN 6:
// at least as fast. Unexplained: a segment sent again although nothing counted a drop.

const { pairs, seconds } = benchOptions();
await bench("cross-host-tcp", async (report, cleanup) => {
  const lab = substrate(cleanup);
  const namespaces = new Namespaces(cleanup);
  const sides = [plenumSide(lab), kernelSide(lab, namespaces), vethSide(namespaces)];
  await startServers(sides);
  const args = ["-t", String(seconds), "-C", "cubic"];
  for (const side of sides) await iperfSample(side, ["-t", "1", "-C", "cubic"]); // caches, ARP
  if (judgedPackets(sides[1]!.namespaces["k1"]!) === 0)
    throw new Error("the peer's rules see no packet: it would be measured without them");

  const runs = await inTurn(sides, pairs, async (side) => {
    const sample = await iperfSample(side, args);
    report.sample({ ...sample, void: isVoid(sample) });
    return sample;
  });
  printSides(report, runs, isVoid, [
    { name: "Gb/s", of: (s) => (s.bytes * 8) / s.seconds / 1e9, digits: 2 },
    { name: "CPU ns/byte", of: (s) => s.ownNs / s.bytes, digits: 3, lessIsBetter: true },
    { name: "retransmits", of: (s) => s.retransmits, digits: 0, noRatio: true },
  ]);
});

function isVoid(sample: Sample): boolean {
  return sample.retransmits > 0 && Object.keys(sample.drops).length === 0;
}
