import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as linux from "#lib/linux/index.ts";
import { buildTestBpf } from "../../bpf/build.ts";
import { datapathContract } from "../../testing/datapath.contract.ts";
import { VxlanUnderlay } from "../net/underlay.ts";
import { takeProgram } from "./testing/take-program.ts";
import { openIn, Lab } from "./testing/lab.ts";

for (const attach of ["tcx", "clsact"] as const) {
  datapathContract(`BpfDatapath (${attach})`, () => {
    const lab = new Lab();
    const hostAddress = "198.18.0.1";
    const path = lab.machine("a", hostAddress);
    const underlay = new VxlanUnderlay({ hostAddress, hostNamespace: path });
    const tunnelIfindex = underlay.ensureTunnel();
    const bpffsDir = join(lab.bpffs, "a");
    mkdirSync(bpffsDir);
    let devices = 0;
    const open = () => {
      const datapath = openIn(path, { bpffsDir, hostAddress, tunnelIfindex, attach });
      for (const call of ["guardDevice", "guardTunnel", "unguarded", "isTunnelGuarded"] as const) {
        const inner = datapath[call].bind(datapath) as (argument: unknown) => unknown;
        Object.assign(datapath, { [call]: (argument: unknown) => linux.withNamespace(path, () => inner(argument)) });
      }
      return datapath;
    };
    return {
      open,
      reopen: open,
      loseAll: () => readdirSync(bpffsDir).forEach((name) => rmSync(join(bpffsDir, name), { recursive: true })),
      newDevice: () =>
        linux.withNetlink(path, (nl) => {
          const name = `d${++devices}`;
          const mac = "06:00:00:00:00:01";
          linux.createVeth(nl, { name, mac, mtu: 1450, peer: { name: `${name}p`, mac: "06:00:00:00:00:02" } });
          return linux.getLink(nl, name)?.ifindex ?? 0;
        }),
      takeProgram: (ifindex, what) => takeProgram(path, bpffsDir, ifindex, what),
      newTunnel: () => {
        linux.withNetlink(path, (nl) => linux.deleteLink(nl, tunnelIfindex));
        return underlay.ensureTunnel();
      },
      dispose: () => lab.dispose(),
    };
  });
}

test("opening says what is wrong with where or with what", () => {
  const lab = new Lab();
  try {
    const host = lab.host("a", "198.18.0.1");
    const open = (changes: object) => () => openIn(host.path, { ...host.options, ...changes });
    expect(open({ bpffsDir: tmpdir() })).toThrow("mount -t bpf");
    expect(open({ hostAddress: "fd00::1" })).toThrow("must be IPv4");
    expect(open({ objectPath: buildTestBpf().objectPath })).toThrow("different versions");
    expect(open({ tunnelIfindex: 4711 })).toThrow("attach to device 4711");
  } finally {
    lab.dispose();
  }
});
