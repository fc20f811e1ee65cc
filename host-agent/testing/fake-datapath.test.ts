import { expect, it } from "vitest";
import { datapathContract, endpointExample } from "./datapath.contract.ts";
import { FakeDatapath, fakePins, losePins } from "./fake-datapath.ts";

datapathContract("FakeDatapath", () => {
  const pins = fakePins();
  let device = 10;
  return {
    open: () => new FakeDatapath({ pins }),
    reopen: () => new FakeDatapath({ pins }),
    loseAll: () => losePins(pins),
    newDevice: () => device++,
    takeProgram: (ifindex) => {
      pins.guarded.delete(ifindex);
      if (pins.tunnel === ifindex) pins.tunnel = undefined;
    },
    newTunnel: () => device++,
    dispose: () => {},
  };
});

it("counts played traffic on a meter that exists, and nowhere else", () => {
  const datapath = new FakeDatapath();
  const endpoint = endpointExample(10);
  datapath.putRuleset({ id: endpoint.rulesetId, rules: [] });
  datapath.putEndpoint(endpoint);
  datapath.count(endpoint.wireId, "egress", 1n, 84n);
  expect(datapath.readMeters()).toEqual([]);
  datapath.putMeter(endpoint);
  datapath.count(endpoint.wireId, "egress", 2n, 168n);
  expect(datapath.readMeters()).toContainEqual({ meterId: 70n, direction: "egress", packets: 2n, bytes: 168n, rawBytes: 196n });
});
