import { rm } from "node:fs/promises";
import { afterEach, describe, expect, it } from "vitest";
import { testDirectory } from "../db/testing.ts";
import { silentLog } from "../log/log.ts";
import type { Bus } from "./bus.ts";
import { MemoryHub } from "./memory.ts";
import { openNatsBus } from "./nats.ts";
import { startNatsServer } from "./server.ts";

interface Rig {
  connect(): Bus;
  stop(): Promise<void>;
}

const rigs: Record<string, () => Promise<Rig>> = {
  memory: () => {
    const hub = new MemoryHub();
    return Promise.resolve({ connect: () => hub.connect(silentLog()), stop: () => Promise.resolve() });
  },
  nats: async () => {
    const dataDir = await testDirectory("nats");
    const server = await startNatsServer({ dataDir, log: silentLog() });
    return {
      connect: () => openNatsBus({ url: server.url, name: "test", log: silentLog() }),
      async stop() {
        await server.stop();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  },
};

const text = (data: Uint8Array): string => new TextDecoder().decode(data);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

async function connected(bus: Bus): Promise<Bus> {
  await expect.poll(() => bus.stats().connected, { timeout: 5_000 }).toBe(true);
  return bus;
}

describe.each(Object.keys(rigs))("a bus over %s", (name) => {
  const cleanups: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function pair(): Promise<[Bus, Bus]> {
    const rig = await rigs[name]!();
    cleanups.push(() => rig.stop());
    const buses = [rig.connect(), rig.connect()] as [Bus, Bus];
    for (const bus of buses) {
      cleanups.push(() => bus.close());
      await connected(bus);
    }
    return buses;
  }

  it("carries bytes and headers to a subscriber elsewhere, in order", async () => {
    const [sender, receiver] = await pair();
    const got: string[] = [];
    receiver.subscribe("plenum.int.hint.network", (message) => got.push(`${text(message.data)} ${message.headers["scope"] ?? ""}`));
    await receiver.flush();
    for (const value of ["a", "b", "c"]) sender.publish("plenum.int.hint.network", bytes(value), { scope: "n1" });
    await expect.poll(() => got).toEqual(["a n1", "b n1", "c n1"]);
  });

  it("carries to its own subscribers too, once, in order with what others publish", async () => {
    const [own, other] = await pair();
    const got: string[] = [];
    own.subscribe("x.*", (message) => got.push(`${text(message.data)} ${message.headers["from"] ?? ""}`));
    await own.flush();
    own.publish("x.y", bytes("1"), { from: "own" });
    own.publish("x.y", bytes("2"), { from: "own" });
    expect(got).toEqual([]); // never within `publish`
    await own.flush();
    other.publish("x.y", bytes("3"), { from: "other" });
    await expect.poll(() => got).toEqual(["1 own", "2 own", "3 other"]);
    await own.flush();
    expect(got).toHaveLength(3);
  });

  it("matches * and >, and leaves other subjects alone", async () => {
    const [sender, receiver] = await pair();
    const got: string[] = [];
    receiver.subscribe("x.*.z", (message) => got.push(`* ${message.subject}`));
    receiver.subscribe("x.>", (message) => got.push(`> ${message.subject}`));
    await receiver.flush();
    for (const subject of ["x", "x.y.z", "x.y.z.w", "q.y.z"]) sender.publish(subject, bytes(""));
    await expect.poll(() => [...got].sort()).toEqual(["* x.y.z", "> x.y.z", "> x.y.z.w"]);
  });

  it("goes on after a handler threw", async () => {
    const [sender, receiver] = await pair();
    const got: string[] = [];
    receiver.subscribe("x", (message) => {
      got.push(text(message.data));
      if (got.length === 1) throw new Error("first");
    });
    await receiver.flush();
    sender.publish("x", bytes("1"));
    sender.publish("x", bytes("2"));
    await expect.poll(() => got).toEqual(["1", "2"]);
  });

  it("hands over nothing after unsubscribe", async () => {
    const [sender, receiver] = await pair();
    const got: string[] = [];
    const subscription = receiver.subscribe("x", () => got.push("gone"));
    receiver.subscribe("x", () => got.push("stays"));
    await receiver.flush();
    subscription.unsubscribe();
    await receiver.flush();
    sender.publish("x", bytes(""));
    await expect.poll(() => got).toEqual(["stays"]);
  });

  it("drops what is too large, and everything after it is closed, and never throws", async () => {
    const [sender, receiver] = await pair();
    const got: number[] = [];
    receiver.subscribe("x", (message) => got.push(message.data.length));
    await receiver.flush();
    sender.publish("x", new Uint8Array(2_000_000));
    sender.publish("x", new Uint8Array(3));
    await expect.poll(() => got).toEqual([3]);
    await sender.close();
    sender.publish("x", new Uint8Array(4));
    expect(sender.stats()).toEqual({ connected: false, published: 1, dropped: 2 });
  });

  it("counts what it published", async () => {
    const [sender] = await pair();
    sender.publish("x", bytes(""));
    expect(sender.stats()).toMatchObject({ connected: true, published: 1, dropped: 0 });
  });
});

describe("a NATS bus and its server's absence", () => {
  it("is closed at once while it looks for a server that is not there", async () => {
    const bus = openNatsBus({ url: "nats://127.0.0.1:1", name: "test", log: silentLog() });
    await bus.close();
    expect(bus.stats().connected).toBe(false);
    bus.publish("x", bytes(""));
    expect(bus.stats()).toEqual({ connected: false, published: 0, dropped: 1 });
  });

  it("is made without a server, drops and counts, and finds the server when it comes and comes again", async () => {
    const dataDir = await testDirectory("nats");
    let server = await startNatsServer({ dataDir, log: silentLog() });
    const port = Number(new URL(server.url).port);
    await server.stop();
    const bus = openNatsBus({ url: server.url, name: "test", log: silentLog() });
    try {
      bus.publish("x", bytes("lost"));
      expect(bus.stats()).toEqual({ connected: false, published: 0, dropped: 1 });
      await expect(bus.flush()).rejects.toThrow(/not connected/);
      const got: string[] = [];
      bus.subscribe("x", (message) => got.push(text(message.data)));
      const token = new URL(server.url).username;
      server = await startNatsServer({ dataDir, log: silentLog(), port, token });
      await connected(bus);
      bus.publish("x", bytes("1"));
      await expect.poll(() => got).toEqual(["1"]);
      await server.stop();
      await expect.poll(() => bus.stats().connected, { timeout: 5_000 }).toBe(false);
      bus.publish("x", bytes("lost too"));
      server = await startNatsServer({ dataDir, log: silentLog(), port, token });
      await connected(bus);
      bus.publish("x", bytes("2"));
      await expect.poll(() => got).toEqual(["1", "2"]);
      expect(bus.stats()).toEqual({ connected: true, published: 2, dropped: 2 });
    } finally {
      await bus.close();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
