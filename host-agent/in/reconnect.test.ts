import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { silentLog } from "#lib/log/log.ts";
import { reconnect } from "./reconnect.ts";

const log = silentLog();
const FIRST_MS = 20;
const MAX_MS = 160;

/** How long it waited between streams that live this long and then break, each of use. */
async function waits(livesMs: number, streams: number): Promise<number[]> {
  const stop = new AbortController();
  const waited: number[] = [];
  let ended: number | undefined;
  const once = async (_signal: AbortSignal, good: () => void): Promise<void> => {
    if (ended !== undefined) waited.push(performance.now() - ended);
    if (waited.length === streams) stop.abort();
    good();
    await delay(livesMs);
    ended = performance.now();
    throw new Error("broke");
  };
  await reconnect({ name: "test", firstMs: FIRST_MS, maxMs: MAX_MS, log, signal: stop.signal, random: () => 1 }, once);
  return waited;
}

it("comes back later and later to a stream that breaks soon after it was of use: what it is sent may be what breaks it", async () => {
  const [first, , , fourth] = await waits(0, 4);
  expect(first).toBeGreaterThan(FIRST_MS - 2);
  expect(fourth).toBeGreaterThan(MAX_MS - 2);
});

it("comes back soon after a stream that went on for long", async () => {
  expect(Math.min(...(await waits(MAX_MS + 10, 4)).slice(3))).toBeLessThan(MAX_MS / 2);
});
