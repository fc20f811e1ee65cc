import { closeSync } from "node:fs";
import { buildTestBpf } from "../host-agent/bpf/build.ts";
import type { Rule } from "../host-agent/core/ports.ts";
import { MAPS, SCHEMA } from "../host-agent/out/datapath/layout.gen.ts";
import { check, objGet } from "../host-agent/out/datapath/libbpf.ts";
import { openObject } from "../host-agent/out/datapath/load.ts";
import { ethernet, ipv4, udp } from "../host-agent/out/datapath/testing/frames.ts";
import { GATEWAY_MAC, Lab } from "../host-agent/out/datapath/testing/lab.ts";
import { runPinned, testRun } from "../host-agent/out/datapath/testing/test-run.ts";

// Nanoseconds that the deciding half takes for one packet of a guest to another host. As root: npm run bench judge

const REPEAT = 300_000;
const ROUNDS = 9;

const lab = new Lab();
try {
  const a = lab.host("a", "198.18.0.1");
  const far = lab.openGuest(lab.host("b", "198.18.0.2"), "10.0.0.3");
  const maps = Object.fromEntries(
    Object.keys(MAPS).map((name) => [name, check(objGet(`${a.options.bpffsDir}/${SCHEMA}/maps/${name}`), `open ${name}`)]),
  );
  const decider = openObject(buildTestBpf().objectPath, maps, ["test_from_instance", "test_from_tunnel"]);
  const program = decider.programFd("test_from_instance");
  for (const count of (process.argv[2] ?? "1,16,64,256").split(",").map(Number)) {
    // The one that matches is the last.
    const rules = Array.from({ length: count }, (_, i): Rule => {
      const last = i === count - 1;
      const port = last ? 6000 : 20_000 + i;
      return { direction: "egress", protocol: 17, portFrom: port, portTo: port, peerCidr: last ? "10.0.0.0/24" : `192.0.2.${i % 250}/32` };
    });
    const guest = lab.openGuest(a, `10.0.1.${(count % 200) + 1}`, {}, rules);
    const packet = ipv4({ src: guest.address, dst: far.address, protocol: 17 }, udp(5000, 6000, Buffer.from("x")));
    const frame = ethernet({ dst: GATEWAY_MAC, src: guest.endpoint.guestMac }, packet);
    const where = { path: a.path, ifindex: guest.endpoint.ifindex };
    const median = (): number => {
      const runs = Array.from({ length: ROUNDS }, () => testRun(program, frame, { ...where, repeat: REPEAT }).ns);
      return runs.toSorted((x, y) => x - y)[ROUNDS >> 1] ?? 0;
    };
    const first = median();
    runPinned(a, "from_instance", frame, where); // begins the connection
    process.stdout.write(`${count} rules: first packet ${first} ns, later ${median()} ns\n`);
  }
  decider.close();
  for (const fd of Object.values(maps)) closeSync(fd);
} finally {
  lab.dispose();
}
