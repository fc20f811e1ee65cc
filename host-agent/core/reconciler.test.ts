import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { FeedWorld } from "../testing/feed-world.ts";
import type { WorldChange, WorldEvent } from "../testing/feed-world.ts";
import { worldEvent } from "../testing/world-events.ts";

const events = fc.array(worldEvent, { maxLength: 60, size: "max" });

/** What a fresh agent on a fresh machine makes of the world as it is now. */
async function fromScratch(world: FeedWorld): Promise<unknown> {
  const host = new FakeHost();
  host.snapshot(world);
  await host.settle(world);
  return host.kernel();
}

const reversed = (items: HostItem[]): HostItem[] => [...items].reverse();

describe("whatever way the same state is told, the kernel ends the same", () => {
  const property = async (
    list: WorldEvent[],
    drive: (host: FakeHost, world: FeedWorld, change: WorldChange, index: number) => Promise<void> | void,
    host = new FakeHost(),
  ): Promise<void> => {
    const world = new FeedWorld();
    host.snapshot(world);
    for (const [index, one] of list.entries()) {
      const change = world.apply(one);
      if (change !== undefined) await drive(host, world, change, index);
    }
    host.resume(world);
    await host.settle(world);
    expect(host.kernel()).toEqual(await fromScratch(world));
  };

  it("one by one, each settled", async () => {
    await fc.assert(
      fc.asyncProperty(events, (list) =>
        property(list, async (host, world, change) => {
          host.change(change);
          await host.settle(world);
        }),
      ),
    );
  });

  it("one by one, in a hurry", async () => {
    await fc.assert(
      fc.asyncProperty(events, (list) =>
        property(list, (host, world, change) => {
          host.change(change);
          host.pass(world);
          host.now += 20;
        }),
      ),
    );
  });

  it("squashed into one pass", async () => {
    await fc.assert(fc.asyncProperty(events, (list) => property(list, (host, _world, change) => host.change(change))));
  });

  it("reversed within each change", async () => {
    await fc.assert(
      fc.asyncProperty(events, (list) =>
        property(list, (host, world, change) => {
          host.change(change.scope === "host" ? { ...change, items: reversed(change.items) } : change);
          host.pass(world);
        }),
      ),
    );
  });

  it("in passes of one step", async () => {
    await fc.assert(
      fc.asyncProperty(events, (list) =>
        property(
          list,
          (host, world, change) => {
            host.change(change);
            host.pass(world);
          },
          new FakeHost({ slow: true }),
        ),
      ),
    );
  });

  it("with a new session and a reversed snapshot now and then", async () => {
    await fc.assert(
      fc.asyncProperty(events, fc.nat(4), (list, every) =>
        property(list, (host, world, change, index) => {
          host.change(change);
          if (index % (every + 2) === 0) host.pass(world);
          if (index % 3 !== every % 3) return;
          if (index % 2 === 0) world.forget(index);
          host.snapshot(world, reversed);
        }),
      ),
    );
  });

  it("with streams that break and go on where they were, cut again while they catch up", async () => {
    await fc.assert(
      fc.asyncProperty(events, fc.array(fc.nat(5), { minLength: 1, maxLength: 20 }), (list, dice) => {
        let away = 0;
        return property(list, (host, world, change, index) => {
          const die = dice[index % dice.length] ?? 0;
          if (away === 0 && die < 2) away = die + 3;
          if (away === 0) {
            host.change(change);
            if (die === 5) host.pass(world);
            return;
          }
          host.miss(change);
          if (die % 2 === 0) host.pass(world); // as when a step's time has come
          away -= 1;
          if (away > 0) return;
          if (die === 3) host.resume(world, reversed, 1);
          if (die === 4) host.forgetAcknowledged(world);
          host.resume(world, reversed);
        });
      }),
    );
  });

  it("with the agent killed anywhere, also in the middle of one call of a port", async () => {
    await fc.assert(
      fc.asyncProperty(events, fc.array(fc.nat(40), { maxLength: 6 }), async (list, kills) => {
        const left = [...kills];
        let until = Infinity;
        let dead = false;
        const fault = (): void => {
          dead ||= until-- <= 0;
          if (dead) throw new Error("killed"); // nothing reaches the kernel any more
        };
        const host = new FakeHost({ fault });
        until = left.shift() ?? Infinity;
        await property(
          list,
          (_host, world, change) => {
            host.change(change);
            host.pass(world);
            if (!dead) return;
            dead = false;
            until = Infinity;
            host.restart();
            host.snapshot(world);
            until = left.shift() ?? Infinity;
          },
          host,
        ).catch((error: unknown) => {
          if (!dead) throw error;
        });
        // Killed while settling: what the last one finds, it finishes.
        if (!dead) return;
        dead = false;
        until = Infinity;
        const world = new FeedWorld();
        for (const one of list) world.apply(one);
        host.restart();
        host.snapshot(world);
        await host.settle(world);
        expect(host.kernel()).toEqual(await fromScratch(world));
      }),
    );
  });

  it("with calls that fail at random", async () => {
    await fc.assert(
      fc.asyncProperty(events, fc.infiniteStream(fc.nat(4)), (list, dice) => {
        let faults = 40;
        let armed = false;
        const fault = (call: string): void => {
          if (!armed || call.endsWith(".list") || faults === 0 || dice.next().value !== 0) return;
          faults -= 1;
          throw new Error(`${call} fails`);
        };
        const host = new FakeHost({ fault, faultAfter: fault });
        armed = true;
        return property(
          list,
          (h, world, change) => {
            h.change(change);
            h.pass(world);
            h.now += 30;
          },
          host,
        );
      }),
    );
  });
});
