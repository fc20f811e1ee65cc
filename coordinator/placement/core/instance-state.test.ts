import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { applied, settle, settleForced, start, stop, stateName, terminate, wantedOnHost } from "./instance-state.ts";
import type { InstanceStanding, Step } from "./instance-state.ts";

const stopped: InstanceStanding = { state: InstanceState.STOPPED, hostId: null, generation: 1n, appliedGeneration: 0n, appliedState: 0 };

type Event =
  | { readonly kind: "start" | "stop" | "terminate" }
  | { readonly kind: "said"; readonly behind: bigint; readonly state: AppliedState; readonly carried: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.constantFrom<Event>({ kind: "start" }, { kind: "stop" }, { kind: "terminate" }),
  fc.record({
    kind: fc.constant("said" as const),
    behind: fc.bigInt(0n, 2n),
    state: fc.constantFrom(AppliedState.PRESENT, AppliedState.ABSENT, AppliedState.FAILED),
    carried: fc.nat(2),
  }),
);

test("a state has the name that the contract gives it; one that it does not know, its number", () => {
  expect([stateName(InstanceState.STOPPING), stateName(99 as InstanceState)]).toEqual(["STOPPING", "99"]);
});

const moved = (at: InstanceStanding, step: Step): InstanceStanding => (step.kind === "move" ? step.next : at);

function take(at: InstanceStanding, one: Event): InstanceStanding {
  switch (one.kind) {
    case "start":
      return moved(at, start(at, "host-1"));
    case "stop":
      return moved(at, stop(at));
    case "terminate":
      return moved(at, terminate(at));
    case "said": {
      const heard = applied(at, { generation: at.generation - one.behind, state: one.state }) ?? at;
      return settle(heard, one.carried) ?? heard;
    }
  }
}

const everywhere = (check: (before: InstanceStanding, one: Event, after: InstanceStanding) => void): void =>
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      let at = stopped;
      for (const one of events) {
        const after = take(at, one);
        check(at, one, after);
        at = after;
      }
    }),
    { numRuns: 500 },
  );

describe("an instance, whatever happens to it", () => {
  test("is on a host exactly while it is neither STOPPED nor TERMINATED", () => {
    everywhere((_before, _one, after) => {
      const off = after.state === InstanceState.STOPPED || after.state === InstanceState.TERMINATED;
      expect(after.hostId === null).toBe(off);
    });
  });

  test("leaves its host only when the host said so of this generation and carries none of its interfaces", () => {
    everywhere((before, one, after) => {
      if (before.hostId === null || after.hostId !== null) return;
      expect(one).toMatchObject({ kind: "said", carried: 0 });
      expect([after.appliedGeneration, after.appliedState]).toEqual([before.generation, AppliedState.ABSENT]);
    });
  });

  test("is RUNNING only by the host's word of this generation", () => {
    everywhere((before, one, after) => {
      if (after.state === InstanceState.RUNNING && before.state !== InstanceState.RUNNING) {
        expect(one).toMatchObject({ kind: "said", behind: 0n, state: AppliedState.PRESENT });
      }
    });
  });

  test("asks by a higher generation whenever something else is wanted of a host", () => {
    everywhere((before, _one, after) => {
      if (after.hostId === null) return;
      if (before.hostId === null || wantedOnHost(before.state) !== wantedOnHost(after.state))
        expect(after.generation).toBe(before.generation + 1n);
    });
  });

  test("stays TERMINATED", () => {
    everywhere((before, _one, after) => {
      if (before.state === InstanceState.TERMINATED) expect(after).toEqual(before);
    });
  });
});

test("calls that are repeated change nothing, and what contradicts is refused", () => {
  const pending = moved(stopped, start(stopped, "host-1"));
  expect(start(pending, "host-2").kind).toBe("stays");
  const stopping = moved(pending, stop(pending));
  expect(stop(stopping).kind).toBe("stays");
  expect(start(stopping, "host-2").kind).toBe("refused");
  const terminating = moved(stopping, terminate(stopping));
  expect(terminating.generation).toBe(stopping.generation);
  expect(stop(terminating).kind).toBe("refused");
  expect(terminate(terminating).kind).toBe("stays");
  expect(wantedOnHost(terminating.state)).toBe(Wanted.ABSENT);
});

test("by force, what stops or ends is off its host once its interfaces are, and nothing else is", () => {
  const pending = moved(stopped, start(stopped, "host-1"));
  const stopping = moved(pending, stop(pending));
  const terminating = moved(pending, terminate(pending));
  expect(settleForced(pending, 0)).toBeUndefined();
  expect(settleForced(stopping, 1)).toBeUndefined();
  expect(settleForced(stopping, 0)).toMatchObject({ state: InstanceState.STOPPED, hostId: null });
  expect(settleForced(terminating, 0)).toMatchObject({ state: InstanceState.TERMINATED, hostId: null });
});
