import { describe, expect, it } from "vitest";
import { Wake } from "./wake.ts";

/** Longer than the test may take: who waits for this has missed what it was to be woken by. */
const FOR_EVER_MS = 600_000;

describe("Wake", () => {
  it("ends a wait that began before it, and one that begins after it", async () => {
    const wake = new Wake();
    const waiting = wake.wait(FOR_EVER_MS);
    wake.wake();
    await waiting;
    wake.wake();
    await wake.wait(FOR_EVER_MS);
  });

  it("ends one wait, not the next", async () => {
    const wake = new Wake();
    wake.wake();
    await wake.wait(FOR_EVER_MS);
    const ended: string[] = [];
    const next = wake.wait(FOR_EVER_MS).then(() => ended.push("next"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toEqual([]);
    wake.wake();
    await next;
  });

  it("ends with its time and with its signal", async () => {
    await new Wake().wait(1);
    await new Wake().wait(FOR_EVER_MS, AbortSignal.abort());
    const controller = new AbortController();
    const waiting = new Wake().wait(FOR_EVER_MS, controller.signal);
    controller.abort();
    await waiting;
  });
});
