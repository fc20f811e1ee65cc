import { describe, expect, it } from "vitest";
import type { HostFeedServiceClient } from "#gen/plenum/host/v1/host_feed.ts";
import type { ConnectRequest, ConnectResponse } from "#gen/plenum/host/v1/host_feed.ts";
import type { MappingServiceClient } from "#gen/plenum/mapping/v1/mapping.ts";
import { silentLog } from "#lib/log/log.ts";
import { HostSession } from "./host-session.ts";
import { MappingSession } from "./mapping-session.ts";
import { Outbox, OUTBOX_LIMIT } from "./outbox.ts";

const log = silentLog();
const backoff = { firstMs: 1, maxMs: 1 };

async function all<T>(of: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of of) items.push(item);
  return items;
}

describe("an outbox", () => {
  it("gives what was pushed, in order, until it is ended and empty", async () => {
    const outbox = new Outbox<number>();
    outbox.push(1);
    outbox.push(2);
    outbox.end();
    expect(outbox.push(3)).toBe(false);
    expect(await all(outbox)).toEqual([1, 2]);
    expect(outbox.full.aborted).toBe(false);
  });

  it("is over once more waits than it holds", async () => {
    const outbox = new Outbox<number>();
    for (let n = 0; n < OUTBOX_LIMIT; n++) expect(outbox.push(n)).toBe(true);
    expect(outbox.full.aborted).toBe(false);
    expect(outbox.push(0)).toBe(false);
    expect(outbox.full.aborted).toBe(true);
    expect(await all(outbox)).toEqual([]);
  });
});

/** Streams of a server that never reads: it sends `first` and then nothing, until it is aborted. */
function deaf<Request, Response>(first: readonly Response[]) {
  const opened: AsyncIterable<Request>[] = [];
  const open = async function* (requests: AsyncIterable<Request>, options?: { signal?: AbortSignal }): AsyncGenerator<Response> {
    opened.push(requests);
    yield* first;
    await new Promise((_resolve, reject) => options?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  };
  return { opened, open };
}

describe("a session whose server does not read begins anew", () => {
  it("with the host feed", async () => {
    const { opened, open } = deaf<ConnectRequest, ConnectResponse>([
      {
        message: { $case: "opened", value: { sessionEpoch: 1n, hostId: "host-1", acknowledgesCounters: true } },
        bookmark: Buffer.alloc(0),
      },
      { message: { $case: "inSync", value: { version: 0n } }, bookmark: Buffer.alloc(0) },
    ]);
    const session = new HostSession({
      connect: () => ({ client: { connect: open as unknown as HostFeedServiceClient["connect"] }, close: () => {} }),
      hello: () => ({ agentVersion: "test", kernelRelease: "6.1", substrateMtu: 1500, substrate: undefined, capacity: undefined }),
      substrate: () => ({ deviceReady: true, tunnelReady: true, message: "" }),
      handler: {
        ...{ beginSnapshot: () => {}, resume: () => {}, change: () => {}, owed: () => {}, complete: () => {}, distrust: () => {} },
        ...{ bookmark: () => Buffer.alloc(0), countersAcknowledged: () => {} },
      },
      ...{ log, backoff, received: () => {} },
    });
    const aborter = new AbortController();
    const running = session.run(aborter.signal);
    await expect.poll(() => session.inSync).toBe(1);
    const applied = { hostVersion: 1n, networkVersions: new Map(), attachments: [], instances: [] };
    while (session.sendApplied(applied));
    await expect.poll(() => session.inSync).toBe(2);
    expect(opened.length).toBe(2);
    expect(session.sendApplied(applied)).toBe(true);
    aborter.abort();
    await running;
  });

  it("with the mapping feed", async () => {
    const { opened, open } = deaf([]);
    const session = new MappingSession({
      connect: () => ({ client: { watchMappings: open as unknown as MappingServiceClient["watchMappings"] }, close: () => {} }),
      handler: { replace: () => {}, change: () => {}, held: () => undefined },
      ...{ log, backoff, received: () => {} },
    });
    const aborter = new AbortController();
    const running = session.run(aborter.signal);
    await expect.poll(() => opened.length).toBe(1);
    session.watch(new Map(Array.from({ length: OUTBOX_LIMIT + 1 }, (_, n) => [BigInt(n), { vni: n + 1 }])));
    session.watch(new Map());
    await expect.poll(() => opened.length).toBe(2);
    aborter.abort();
    await running;
  });
});
