import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { applied, detach, forceOff, place, reconfigure, unplace } from "./attachment-state.ts";
import type { Standing } from "./attachment-state.ts";

const fresh: Standing = { state: AttachmentState.ATTACHING, hostId: null, wanted: Wanted.PRESENT, generation: 1n };

type Step =
  | { readonly kind: "place" | "unplace" | "detach" | "reconfigure" | "force" }
  | { readonly kind: "said"; readonly behind: bigint; readonly state: AppliedState };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom<Step>({ kind: "place" }, { kind: "unplace" }, { kind: "detach" }, { kind: "reconfigure" }, { kind: "force" }),
  fc.record({
    kind: fc.constant("said" as const),
    behind: fc.bigInt(0n, 2n),
    state: fc.constantFrom(AppliedState.PRESENT, AppliedState.ABSENT, AppliedState.FAILED),
  }),
);

function take(at: Standing, one: Step): Standing {
  switch (one.kind) {
    case "place":
      return at.hostId === null && at.state === AttachmentState.ATTACHING ? place(at, "host-1") : at;
    case "unplace":
      return unplace(at);
    case "detach":
      return detach(at);
    case "reconfigure":
      return reconfigure(at);
    case "force":
      return forceOff(at) ?? at;
    case "said":
      return applied(at, { generation: at.generation - one.behind, state: one.state, message: "" })?.next ?? at;
  }
}

const everywhere = (check: (before: Standing, one: Step, after: Standing) => void): void =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let at = fresh;
      for (const one of steps) {
        const after = take(at, one);
        check(at, one, after);
        at = after;
      }
    }),
    { numRuns: 500 },
  );

describe("an attachment, whatever happens to it", () => {
  test("is over only by the host's word of this generation, by force while it ends, or where no host carries it; and stays over", () => {
    everywhere((before, one, after) => {
      if (before.state === AttachmentState.DETACHED) expect(after).toEqual(before);
      else if (after.state === AttachmentState.DETACHED) {
        const word =
          one.kind === "said" && one.behind === 0n && one.state === AppliedState.ABSENT && before.state === AttachmentState.DETACHING;
        const forced = one.kind === "force" && before.state === AttachmentState.DETACHING;
        expect(word || forced || (one.kind === "detach" && before.hostId === null)).toBe(true);
      }
    });
  });

  test("is ATTACHED only by the host's word of this generation", () => {
    everywhere((before, one, after) => {
      if (after.state !== AttachmentState.ATTACHED || before.state === AttachmentState.ATTACHED) return;
      expect(one).toEqual({ kind: "said", behind: 0n, state: AppliedState.PRESENT });
    });
  });

  test("changes nothing by a stale status", () => {
    everywhere((before, one, after) => {
      if (one.kind === "said" && one.behind > 0n) expect(after).toEqual(before);
    });
  });

  test("asks its host by a higher generation for whatever is new, and never by a lower one", () => {
    everywhere((before, _one, after) => {
      expect(after.generation).toBeGreaterThanOrEqual(before.generation);
      const asked = after.hostId !== null && (after.wanted !== before.wanted || after.hostId !== before.hostId);
      if (asked) expect(after.generation).toBeGreaterThan(before.generation);
    });
  });

  test("is not placed where it is over or placed already, and says where", () => {
    const over: Standing = { ...fresh, state: AttachmentState.DETACHED, wanted: Wanted.ABSENT };
    expect(() => place(over, "host-1")).toThrow(/on no host cannot be placed/);
    expect(() => place(place(fresh, "host-1"), "host-2")).toThrow(/on host-1 cannot be placed/);
  });

  test("leaves its host only by the host's word or by force, and is wanted nowhere once it is ending", () => {
    everywhere((before, one, after) => {
      if (one.kind === "force" && before.wanted === Wanted.PRESENT) expect(after).toEqual(before);
      if (one.kind !== "force" && before.hostId !== null && after.hostId === null)
        expect(one).toMatchObject({ kind: "said", behind: 0n, state: AppliedState.ABSENT });
      if (after.state === AttachmentState.DETACHING || after.state === AttachmentState.DETACHED) expect(after.wanted).toBe(Wanted.ABSENT);
    });
  });

  test("ends from anywhere: detach, then the host's word", () => {
    everywhere((_before, _one, at) => {
      const asked = detach(at);
      const said = applied(asked, { generation: asked.generation, state: AppliedState.ABSENT, message: "" });
      expect((said?.next ?? asked).state).toBe(AttachmentState.DETACHED);
      expect(detach(asked)).toEqual(asked);
    });
  });
});

test("what is placed cannot be placed again", () => {
  expect(() => place(place(fresh, "host-1"), "host-2")).toThrow(/cannot be placed/);
});
