import { expect, test } from "vitest";
import { Registry } from "#lib/metrics/metrics.ts";
import { agentMetrics } from "./metrics.ts";
import { FakeDatapath } from "./testing/fake-datapath.ts";
import { FakeHost } from "./testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem } from "./testing/feed-world.ts";

test("tells versions, drops by interface and reason, feeds and passes", async () => {
  const host = new FakeHost();
  const datapath = new FakeDatapath({ pins: host.pins });
  const registry = new Registry();
  const { reconciler } = host;
  const metrics = agentMetrics(registry, { datapath, reconciler, connected: (feed) => feed === "host" });
  host.snapshot(new FeedWorld());
  host.change({ scope: "host", items: [instance(instanceItem(1)), attachment(attachmentItem(1, 1))] });
  const before = await registry.metrics();
  expect(before).toMatch(/^plenum_host_wanted_version 1$/m);
  expect(before).toMatch(/^plenum_host_applied_version 0$/m);
  host.pass();
  metrics.passed(0.002);
  metrics.stepFailed();
  metrics.lost("guard", 3);
  host.underlay.carrier = false;
  reconciler.observeDevices();
  datapath.drop(1, 7, "NO_RULE", 2n);
  datapath.drop(0, 8, "UNKNOWN_VNI", 5n);
  const after = await registry.metrics();
  for (const line of [
    "plenum_host_applied_version 1",
    "plenum_host_endpoints 1",
    "plenum_host_open_items 0",
    'plenum_host_dropped_packets_total{interface="1",reason="NO_RULE"} 2',
    'plenum_host_dropped_packets_total{interface="0",reason="UNKNOWN_VNI"} 5',
    'plenum_host_feed_connected{feed="host"} 1',
    'plenum_host_feed_connected{feed="mapping"} 0',
    'plenum_host_reconcile_duration_seconds_bucket{le="0.0025"} 1',
    "plenum_host_failed_steps_total 1",
    "plenum_host_substrate_device_ready 0",
    "plenum_host_tunnel_ready 1",
    'plenum_host_lost_total{what="guard"} 3',
    'plenum_host_lost_total{what="tunnel"} 0',
  ]) {
    expect(after.split("\n")).toContain(line);
  }
  expect(after).toMatch(/^plenum_host_feed_message_age_seconds\{feed="mapping"\} \d/m);
  // A counter is read anew each time, not added up.
  expect(await registry.metrics()).toContain('reason="NO_RULE"} 2\n');
});
