import { beforeEach, describe, expect, it } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { changeOf, piecesOf } from "../testing/mapping-batches.ts";
import { attachOne, newStates, tellHost } from "../testing/told-host.ts";
import type { Mapping } from "./ports.ts";

const ATTACH = [
  "datapath.putRuleset",
  "instances.create",
  "instances.setDnsServers",
  "instances.setIdentity",
  "datapath.putMeter",
  "devices.ensure",
  "datapath.guardDevice",
  "datapath.putEndpoint",
  "instances.start",
];
const DESTRUCTIVE = /close|drop|delete|remove/;

let host: FakeHost;
let world: FeedWorld;
beforeEach(() => {
  host = new FakeHost();
  world = new FeedWorld();
});

const tell = (...items: HostItem[]): void => tellHost(host, world, items);
const attached = (): void => attachOne(host, world);

const detached = (): HostItem => attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }));
const states = () => newStates(host);

describe("order", () => {
  it("attaches rules first, endpoint last, then the process, in one pass", () => {
    attached();
    expect(host.takeCalls()).toEqual(ATTACH);
    expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
  });

  it("detaches endpoint first, then reads and says that it is gone, then removes, then drops the meter", () => {
    attached();
    host.takeCalls();
    states();
    tell(detached());
    const { wakeAt } = host.reconciler.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint"]);
    expect([wakeAt, host.finals, states()]).toEqual([50, [], []]);
    host.now = 50;
    const leave = host.reconciler.pass().wakeAt;
    expect(host.finals).toEqual([1001n]);
    expect(host.takeCalls()).toEqual([]);
    expect([leave, states()]).toEqual([60, [["eni-attach-1", AppliedState.ABSENT, ""]]]);
    host.now = 60;
    const linger = host.reconciler.pass().wakeAt;
    expect(host.takeCalls()).toEqual(["devices.remove"]);
    expect([linger, states()]).toEqual([30_050, []]);
    host.now = 30_050;
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.dropMeter"]);
    expect(host.reconciler.host.attachment("eni-attach-1")).toBeUndefined();
  });

  it("keeps meter and device while nobody takes the last reading", () => {
    attached();
    host.takeCalls();
    host.connected = false;
    tell(detached());
    for (host.now of [0, 60, 100_000]) host.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint"]);
    states();
    host.connected = true;
    for (host.now of [100_000, 100_010]) host.pass();
    expect(host.takeCalls()).toEqual(["devices.remove"]);
    expect(states()).toEqual([["eni-attach-1", AppliedState.ABSENT, ""]]);
  });

  it("keeps the meter of an attachment that comes back", () => {
    attached();
    tell(detached());
    for (host.now of [0, 50]) host.pass();
    tell(attachment(attachmentItem(1, 2, { generation: 3n })));
    for (host.now of [60, 40_000]) host.pass();
    expect(host.takeCalls()).not.toContain("datapath.dropMeter");
    expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
  });

  it.each([
    ["the device that is still there", [0, 50], []],
    ["another device", [0, 50, 60], ["devices.ensure", "datapath.guardDevice"]],
  ])("gives an attachment that comes back its new meter, fresh drop counters and %s", (_, times, made) => {
    attached();
    tell(detached());
    for (host.now of times) host.pass();
    host.takeCalls();
    tell(attachment(attachmentItem(1, 2, { generation: 3n, meterId: 2001n })));
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.dropMeter", "datapath.putMeter", ...made, "datapath.putEndpoint"]);
    host.now = 40_000;
    host.pass();
    expect(host.takeCalls()).toEqual([]);
    expect([...host.pins.meters.keys()]).toEqual(["2001 ingress", "2001 egress"]);
  });

  it("reads a replaced meter for the last time, and leaves the drop counters to the other", () => {
    attached();
    host.takeCalls();
    tell(attachment(attachmentItem(1, 2, { generation: 2n, meterId: 2001n })));
    for (host.now of [0, 50]) host.pass();
    expect(host.takeCalls()).toEqual(["datapath.putMeter", "datapath.putEndpoint"]);
    expect(host.finals).toEqual([1001n]);
    host.now = 40_000;
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.dropMeter"]);
    expect(host.pins.endpoints.get(1)?.meterId).toBe(2001n);
    expect(host.pins.dropEpochs.size).toBe(1);
  });

  it("keeps a meter until its last reading is acknowledged, however long, and nothing else waits for that", () => {
    attached();
    host.takeCalls();
    host.safe = false;
    tell(detached());
    for (host.now of [0, 50, 60]) host.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint", "devices.remove"]);
    expect(states()).toEqual([["eni-attach-1", AppliedState.ABSENT, ""]]);
    for (host.now of [100, 1_000_000]) host.pass();
    expect(host.takeCalls()).toEqual([]);
    host.safe = true;
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.dropMeter"]);
    expect(host.pins.dropEpochs.size).toBe(0);
  });

  it("keeps the old meter of an attachment that comes back beside the new one until it is safe", () => {
    attached();
    host.safe = false;
    tell(detached());
    for (host.now of [0, 50]) host.pass();
    tell(attachment(attachmentItem(1, 2, { generation: 3n, meterId: 2001n })));
    host.pass();
    expect([...host.pins.meters.keys()]).toEqual(["1001 ingress", "1001 egress", "2001 ingress", "2001 egress"]);
    expect(host.pins.endpoints.get(1)?.meterId).toBe(2001n);
    host.safe = true;
    host.pass();
    expect([...host.pins.meters.keys()]).toEqual(["2001 ingress", "2001 egress"]);
    expect(host.pins.dropEpochs.size).toBe(1);
  });

  it("changes rules with the new ruleset and one write of the endpoint", () => {
    attached();
    host.takeCalls();
    tell(
      attachment(attachmentItem(1, 2, { rulesetId: 2, generation: 2n })),
      ruleset(rulesetItem(2)),
      ruleset(rulesetItem(1, { wanted: Wanted.ABSENT })),
    );
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.putRuleset", "datapath.putEndpoint", "datapath.deleteRuleset"]);
  });

  it("removes an instance only after its interfaces", async () => {
    attached();
    host.takeCalls();
    tell(instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n })), detached());
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint"]);
    for (host.now of [50, 60]) host.pass();
    expect(host.takeCalls()).toEqual(["devices.remove", "instances.remove"]);
    await Promise.resolve();
    host.pass();
    expect(host.reconciler.statuses.takeNew().instances).toMatchObject([{ instanceId: "i-2", generation: 2n, state: AppliedState.ABSENT }]);
  });

  it("forgets an instance that is gone once that was told, and tells it again where it is asked again", async () => {
    host.snapshot(world);
    tell(instance(instanceItem(2)));
    host.pass();
    tell(instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n })));
    host.pass();
    await Promise.resolve();
    host.pass();
    expect(host.reconciler.host.instance("i-2")).toBeDefined(); // not told yet
    const gone = [{ instanceId: "i-2", generation: 2n, state: AppliedState.ABSENT }];
    expect(host.reconciler.statuses.takeNew().instances).toMatchObject(gone);
    host.pass();
    expect(host.reconciler.host.instance("i-2")).toBeUndefined();
    expect(host.reconciler.statuses.takeAll().instances).toEqual([]);
    host.snapshot(world); // the word was lost: the item is still there
    host.pass();
    expect(host.reconciler.statuses.takeAll().instances).toMatchObject(gone);
    tell(instance(instanceItem(2, { generation: 3n })));
    host.pass();
    expect(host.reconciler.statuses.takeNew().instances).toMatchObject([
      { instanceId: "i-2", generation: 3n, state: AppliedState.PRESENT },
    ]);
  });

  it("does not forget an instance that was gone and is wanted again", async () => {
    host = new FakeHost({ slow: true });
    host.snapshot(world);
    tell(instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n })));
    host.pass();
    host.reconciler.statuses.takeNew();
    tell(instance(instanceItem(3)));
    tell(instance(instanceItem(2, { generation: 3n })));
    host.pass(); // one step: the other instance's
    await host.settle(world);
    const { instances } = host.reconciler.statuses.takeAll();
    expect(instances.find(({ instanceId }) => instanceId === "i-2")).toMatchObject({ generation: 3n, state: AppliedState.PRESENT });
  });

  it("waits for the old device before it makes one of the same name", () => {
    attached();
    host.takeCalls();
    tell(detached(), attachment(attachmentItem(2, 2, { dnsServers: [] })));
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint", "datapath.putMeter"]);
    host.now = 50;
    host.pass();
    host.pass();
    expect(host.takeCalls()).toEqual(["devices.remove", "devices.ensure", "datapath.guardDevice", "datapath.putEndpoint"]);
    expect(host.failures).toEqual([]);
  });
});

describe("restart", () => {
  it("changes nothing that a packet would notice when the feed says what it said before", () => {
    attached();
    const before = host.kernel();
    host.restart();
    host.takeCalls();
    host.pass();
    expect(host.takeCalls()).toEqual([]); // nothing at all before in sync
    host.snapshot(world);
    host.pass();
    // Made whole again in case the predecessor was interrupted; none of these changes what stands.
    expect(host.takeCalls()).toEqual([
      "datapath.putRuleset",
      "instances.create",
      "instances.setDnsServers",
      "instances.setIdentity",
      "datapath.putMeter",
      "devices.ensure",
      "datapath.guardDevice",
    ]);
    expect(host.kernel()).toEqual(before);
    expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
  });

  it("removes what nobody wants any more, and keeps a process that has ended ended", async () => {
    attached();
    tell(attachment(attachmentItem(4, 2, { deviceIndex: 1 })));
    host.pass();
    host.instanceKernel.instances.set("i-2", { process: { state: "exited", detail: "exit code 3" } });
    world.attachments.delete("eni-attach-4");
    host.restart();
    host.takeCalls();
    host.snapshot(world);
    await host.settle(world);
    const calls = host.takeCalls();
    expect(calls.filter((call) => DESTRUCTIVE.test(call))).toEqual(["datapath.closeEndpoint", "devices.remove", "datapath.dropMeter"]);
    expect(calls).not.toContain("instances.start");
    expect([...host.pins.endpoints.keys()]).toEqual([1]);
    const [status] = host.reconciler.statuses.takeAll().instances;
    expect(status).toMatchObject({ state: AppliedState.PRESENT, processRunning: false, message: "its process ended: exit code 3" });
  });

  it("keeps the mappings of a network until that network is in sync", () => {
    const mapping: Mapping = { vni: 101, prefix: "10.0.101.9/32", hostAddress: "198.18.0.9", wireId: 9, groupSetId: 1 };
    const strange: Mapping = { ...mapping, vni: 77 };
    attached();
    host.pins.mappings.set("101 old", mapping);
    host.pins.mappings.set("77 10.0.101.9/32", strange);
    host.restart();
    const { reconciler } = host;
    reconciler.host.beginSnapshot();
    reconciler.host.change({ version: 1n, inSnapshot: true, items: world.snapshot() });
    reconciler.host.complete(1n);
    host.pass();
    expect([...host.pins.mappings.values()]).toEqual([mapping]); // no interface in network 77: gone
    expect(reconciler.mappings.appliedVersion(101)).toBeUndefined();
    reconciler.mappings.replace(101, piecesOf([mapping]), 4n);
    host.takeCalls();
    expect(reconciler.pass().networks).toEqual([101]);
    expect(host.takeCalls()).toEqual([]); // it is there already
    expect(reconciler.mappings.appliedVersion(101)).toBe(4n);
  });
});

describe("trouble", () => {
  it("reports what fails, tries it again later and later, and goes on with the rest", () => {
    let broken = true;
    const fault = (call: string): void => {
      if (broken && call === "devices.ensure") throw new Error("no more devices");
    };
    host = new FakeHost({ fault });
    attached();
    const report = host.reconciler.statuses.takeNew();
    expect(report.attachments).toMatchObject([{ attachmentId: "eni-attach-1", state: AppliedState.FAILED, message: "no more devices" }]);
    const waits = "its process waits for eni-attach-1: no more devices";
    expect(report.instances).toMatchObject([{ instanceId: "i-2", state: AppliedState.FAILED, message: waits, processRunning: false }]);
    expect(host.takeCalls()).not.toContain("instances.start");
    const times: number[] = [];
    for (let round = 0; round < 9; round++) {
      host.now = host.reconciler.pass().wakeAt ?? NaN;
      times.push(host.now);
    }
    expect(times).toEqual([100, 300, 700, 1500, 3100, 6300, 12_700, 22_700, 32_700].map((t) => t));
    broken = false;
    tell(instance(instanceItem(3)));
    host.pass();
    expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
    expect(host.instanceKernel.instances.has("i-3")).toBe(true);
    expect(host.instanceKernel.instances.get("i-2")?.process.state).toBe("running");
  });

  it.each([
    ["no such instance", [attachment(attachmentItem(1, 9)), ruleset(rulesetItem(1))], "i-9 is not to be on this host"],
    ["no such ruleset", [instance(instanceItem(2)), attachment(attachmentItem(1, 2, { rulesetId: 8 }))], "ruleset 8 is not in the feed"],
    [
      "a VNI that is none",
      [instance(instanceItem(2)), attachment(attachmentItem(1, 2, { vni: 1 << 24 }))],
      "VNI 16777216 is not in 1 to 16777215",
    ],
  ])("says so: %s", (_what, items, message) => {
    world.rulesets.clear();
    host.snapshot(world);
    tell(...items);
    host.pass();
    expect(states()).toEqual([["eni-attach-1", AppliedState.FAILED, message]]);
    expect(host.pins.endpoints.size).toBe(0);
  });

  describe("a ruleset that cannot be put", () => {
    let refusal: Error | undefined;
    beforeEach(() => {
      refusal = undefined;
      host = new FakeHost({
        fault: (call) => {
          if (refusal !== undefined && call === "datapath.putRuleset") throw refusal;
        },
      });
      attached();
      host.takeCalls();
      states();
    });
    const changed = (id: number, generation: bigint): HostItem[] => [
      attachment(attachmentItem(1, 2, { rulesetId: id, generation })),
      ruleset(rulesetItem(id)),
    ];
    const because = (message: string) => [["eni-attach-1", AppliedState.FAILED, message]];

    it("ever, closes the interface: its old rules are not wanted any more", () => {
      refusal = new RangeError("at most 64 rules");
      tell(...changed(2, 2n));
      host.pass();
      expect(host.takeCalls()).toEqual(["datapath.closeEndpoint"]);
      expect(states()).toEqual(because("ruleset 2: at most 64 rules"));
      // The next agent does not know yet, and finds out.
      host.restart();
      host.snapshot(world);
      for (host.now of [1_000, 60_000, 120_000]) host.pass();
      expect(host.pins.endpoints.size).toBe(0);
      // Once each; the new agent asks for the other one, too, which it found.
      expect(host.failures.filter((failure) => failure.startsWith("ruleset 2"))).toEqual(Array(2).fill("ruleset 2: at most 64 rules"));
      expect(states()).toEqual(because("ruleset 2: at most 64 rules"));
      refusal = undefined;
      tell(...changed(3, 3n));
      host.pass();
      expect(host.pins.endpoints.get(1)?.rulesetId).toBe(3);
      expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
    });

    it("now, leaves it as it is and is tried again", () => {
      refusal = new Error("out of memory");
      tell(...changed(2, 2n));
      host.pass();
      expect(host.pins.endpoints.get(1)?.rulesetId).toBe(1);
      expect(states()).toEqual(because("out of memory"));
      refusal = undefined;
      host.now = 60_000;
      host.pass();
      expect(host.pins.endpoints.get(1)?.rulesetId).toBe(2);
    });
  });

  it("keeps a ruleset that an open interface still names", () => {
    attached();
    host.takeCalls();
    tell(ruleset(rulesetItem(1, { wanted: Wanted.ABSENT })));
    host.pass();
    expect(host.takeCalls()).toEqual([]);
    tell(detached());
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.closeEndpoint", "datapath.deleteRuleset"]);
  });

  it("keeps what is left of a network's mappings when its last interface goes and another comes meanwhile", () => {
    let broken = true;
    const fault = (call: string): void => {
      if (broken && call === "datapath.deleteMappings") throw new Error("not now");
    };
    host = new FakeHost({ fault });
    attached();
    const mapping: Mapping = { vni: 101, prefix: "10.0.101.9/32", hostAddress: "198.18.0.9", wireId: 9, groupSetId: 1 };
    host.reconciler.mappings.replace(101, piecesOf([mapping]), 4n);
    host.pass();
    tell(detached());
    host.pass();
    broken = false;
    host.now += 1_000;
    tell(attachment(attachmentItem(4, 2, { deviceIndex: 1 })));
    host.pass();
    expect([...host.pins.mappings.values()]).toEqual([mapping]);
    expect(host.reconciler.mappings.appliedVersion(101)).toBeUndefined();
  });

  it("ignores late news of a network that it has left, and changes before the snapshot is whole", () => {
    attached();
    const mapping: Mapping = { vni: 101, prefix: "10.0.101.9/32", hostAddress: "198.18.0.9", wireId: 9, groupSetId: 1 };
    host.reconciler.mappings.change(101, changeOf([mapping.prefix, mapping]), 4n);
    host.reconciler.mappings.replace(102, piecesOf([mapping]), 4n);
    host.pass();
    expect(host.pins.mappings.size).toBe(0);
    expect(host.reconciler.mappings.appliedVersion(101)).toBeUndefined();
    host.reconciler.mappings.replace(101, piecesOf([mapping]), 4n);
    host.pass();
    tell(detached());
    host.pass();
    tell(attachment(attachmentItem(4, 2, { deviceIndex: 1 })));
    host.pass();
    host.reconciler.mappings.change(101, changeOf([mapping.prefix, mapping]), 5n);
    host.pass();
    expect(host.pins.mappings.size).toBe(0);
  });
});

describe("feed", () => {
  it("refuses a version that does not follow", () => {
    host.snapshot(world);
    expect(() => host.reconciler.host.change({ version: 2n, inSnapshot: false, items: [] })).toThrow(/delta 2 after version 0/);
  });

  it("keeps the old state until a new snapshot is complete", () => {
    attached();
    host.reconciler.host.beginSnapshot();
    host.takeCalls();
    host.pass();
    expect(host.takeCalls()).toEqual([]);
    expect(host.reconciler.host.attachment("eni-attach-1")).toBeDefined();
    expect(() => host.reconciler.host.change({ version: 2n, inSnapshot: false, items: [] })).toThrow(/before the snapshot was complete/);
  });
});
