import { describe, expect, it } from "vitest";
import { silentLog } from "../log/log.ts";
import { atShutdown } from "./hooks.ts";
import { createShutdown, stopOnSignals } from "./shutdown.ts";

describe("shutdown", () => {
  it("stops in reverse order, once, the process's hooks last", async () => {
    const order: string[] = [];
    const shutdown = createShutdown(silentLog());
    const step = (name: string) => async () => {
      await Promise.resolve();
      order.push(name);
    };
    atShutdown("hook", step("hook"));
    shutdown.add("database", step("database"));
    shutdown.add("server", step("server"));
    expect(shutdown.signal.aborted).toBe(false);
    const both = await Promise.all([shutdown.run("one"), shutdown.run("two"), shutdown.finished]);
    expect(both).toEqual([true, true, true]);
    expect(order).toEqual(["server", "database", "hook"]);
    expect(shutdown.signal.aborted).toBe(true);
  });

  it("goes on past a step that fails and one that hangs, and says that it was not clean", async () => {
    const order: string[] = [];
    const shutdown = createShutdown(silentLog());
    shutdown.add("first", () => Promise.resolve(void order.push("first")));
    shutdown.add("hangs", () => new Promise(() => undefined), 10);
    shutdown.add("fails", () => Promise.reject(new Error("no")));
    expect(await shutdown.run("test")).toBe(false);
    expect(order).toEqual(["first"]);
  });

  it("ends the process at SIGTERM with how it went, and at once at a second SIGINT", async () => {
    const codes: number[] = [];
    const shutdown = createShutdown(silentLog());
    const stopped = Promise.withResolvers<void>();
    shutdown.add("slow", () => stopped.promise);
    const detach = stopOnSignals(shutdown, (code) => codes.push(code));
    try {
      process.emit("SIGTERM", "SIGTERM");
      process.emit("SIGTERM", "SIGTERM");
      expect(codes).toEqual([]);
      process.emit("SIGINT", "SIGINT");
      expect(codes).toEqual([130]);
      stopped.resolve();
      await shutdown.finished;
      await expect.poll(() => codes).toEqual([130, 0]);
    } finally {
      detach();
    }
  });
});
