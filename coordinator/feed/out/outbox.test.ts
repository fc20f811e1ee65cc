import { expect, test } from "vitest";
import { Outbox } from "./outbox.ts";

test("gives what was pushed, in order, then ends", async () => {
  const outbox = new Outbox<number>();
  const got: number[] = [];
  const reading = (async () => {
    for await (const one of outbox.read()) got.push(one);
  })();
  for (const one of [1, 2, 3]) await outbox.push(one);
  outbox.end();
  await reading;
  expect(got).toEqual([1, 2, 3]);
});

test("makes who fills it wait for a slow reader, and lets go of it at the end", async () => {
  const outbox = new Outbox<number>(2);
  await outbox.push(1);
  let filled = false;
  const pushing = outbox.push(2).then(() => (filled = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(filled).toBe(false);
  const reader = outbox.read();
  expect((await reader.next()).value).toBe(1);
  await pushing;
  const stuck = outbox.push(3);
  outbox.end();
  await stuck;
  await outbox.push(4);
  expect([(await reader.next()).value, (await reader.next()).value, (await reader.next()).done]).toEqual([2, 3, true]);
});

test("a failure goes before what waits, and only the first end counts", async () => {
  const outbox = new Outbox<number>();
  await outbox.push(1);
  outbox.end(new Error("first"));
  outbox.end(new Error("second"));
  await expect(outbox.read().next()).rejects.toThrow("first");
});
