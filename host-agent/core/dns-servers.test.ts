import { beforeEach, describe, expect, it } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { newStates, tellHost } from "../testing/told-host.ts";

let host: FakeHost;
let world: FeedWorld;
beforeEach(() => {
  host = new FakeHost();
  world = new FeedWorld();
});

const tell = (...items: HostItem[]): void => tellHost(host, world, items);

const states = () => newStates(host);

describe("DNS servers", () => {
  const asked = () => host.instanceKernel.instances.get("i-2")?.dnsServers;

  it("are those of all interfaces in the order of their devices, each once, and reach what runs without starting it anew", () => {
    host.snapshot(world);
    const first = attachmentItem(1, 2, { deviceIndex: 1, dnsServers: ["10.0.0.3", "10.0.0.2"] });
    const second = attachmentItem(3, 2, { deviceIndex: 0, dnsServers: ["10.0.0.2"] });
    tell(instance(instanceItem(2)), attachment(first), attachment(second), ruleset(rulesetItem(1)));
    host.pass();
    expect(asked()).toEqual(["10.0.0.2", "10.0.0.3"]);
    host.takeCalls();
    states();
    tell(attachment({ ...second, dnsServers: ["10.0.0.9"], generation: 2n }));
    host.pass();
    expect(host.takeCalls()).toEqual(["instances.setDnsServers"]);
    expect(asked()).toEqual(["10.0.0.9", "10.0.0.3", "10.0.0.2"]);
    expect(host.reconciler.statuses.takeNew().attachments).toMatchObject([{ attachmentId: "eni-attach-3", generation: 2n }]);
    tell(attachment({ ...second, wanted: Wanted.ABSENT, generation: 3n }));
    host.pass();
    expect(asked()).toEqual(["10.0.0.3", "10.0.0.2"]);
  });

  it("that cannot be told, or are none, are said of the attachment", () => {
    let broken = false;
    const fault = (call: string): void => {
      if (broken && call === "instances.setDnsServers") throw new Error("no room");
    };
    host = new FakeHost({ fault });
    host.snapshot(world);
    tell(instance(instanceItem(2)), attachment(attachmentItem(1, 2)), ruleset(rulesetItem(1)));
    host.pass();
    states();
    broken = true;
    tell(attachment(attachmentItem(1, 2, { dnsServers: ["10.0.0.2"], generation: 2n })));
    host.pass();
    expect(states()).toEqual([["eni-attach-1", AppliedState.FAILED, "no room"]]);
    broken = false;
    host.now += 60_000;
    host.pass();
    expect(states()).toEqual([["eni-attach-1", AppliedState.PRESENT, ""]]);
    tell(attachment(attachmentItem(1, 2, { dnsServers: ["example.net"], generation: 3n })));
    host.pass();
    expect(states()).toEqual([["eni-attach-1", AppliedState.FAILED, 'DNS server "example.net" is not an address']]);
  });
});
