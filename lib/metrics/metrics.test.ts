import { execFile } from "node:child_process";
import { describe, expect, it } from "vitest";
import { MemoryHub } from "../bus/memory.ts";
import { silentLog } from "../log/log.ts";
import { findExecutable } from "../process/child.ts";
import { busMetrics, createRegistry, feedMetrics, rpcMetrics } from "./metrics.ts";
import { serveMetrics } from "./serve.ts";

/** What promtool says about a page of metrics; undefined where there is no promtool. */
async function promtool(page: string): Promise<string | undefined> {
  const path = findExecutable("promtool");
  if (path === undefined) return undefined;
  return new Promise((resolve) => {
    const child = execFile(path, ["check", "metrics"], (_error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin?.end(page);
  });
}

describe("metrics", () => {
  it("are a page that promtool accepts, with counts that follow their source", async () => {
    const registry = createRegistry();
    const bus = new MemoryHub().connect(silentLog());
    busMetrics(registry, bus);
    const stats = { followers: 2, snapshots: 1, hints: 5, rows: 0 };
    feedMetrics(registry, { stats: () => stats }, "coordinator");
    rpcMetrics(registry)({ method: "/plenum.network.v1.VpcService/GetVpc", code: "OK", seconds: 0.003 });
    bus.publish("x", new Uint8Array());
    const server = await serveMetrics({ registry, address: "127.0.0.1:0", log: silentLog(), ready: () => false });
    try {
      const first = await (await fetch(`http://${server.address}/metrics`)).text();
      stats.hints = 7;
      const second = await (await fetch(`http://${server.address}/metrics`)).text();
      expect(first).toContain("plenum_bus_published_messages_total 1\n");
      expect(first).toContain("plenum_feed_coordinator_hinted_changes_total 5\n");
      expect(second).toContain("plenum_feed_coordinator_hinted_changes_total 7\n");
      expect(second).toContain("plenum_feed_coordinator_followers 2\n");
      expect(second).toContain(
        'plenum_rpc_duration_seconds_bucket{le="0.005",method="/plenum.network.v1.VpcService/GetVpc",code="OK"} 1\n',
      );
      expect((await promtool(second)) ?? "").toBe("");
      expect(first).not.toMatch(/^# TYPE \S+_total gauge/m); // the same rule, where there is no promtool
    } finally {
      await server.close();
    }
  });

  it("answers whether the process lives and works, and nothing else", async () => {
    let ready = false;
    const server = await serveMetrics({ registry: createRegistry(), address: "127.0.0.1:0", log: silentLog(), ready: () => ready });
    const status = async (path: string, method = "GET") => (await fetch(`http://${server.address}${path}`, { method })).status;
    try {
      expect([await status("/healthz"), await status("/readyz"), await status("/x"), await status("/metrics", "POST")]).toEqual([
        200, 503, 404, 405,
      ]);
      ready = true;
      expect(await status("/readyz")).toBe(200);
    } finally {
      await server.close();
    }
  });
});
