import { expect, onTestFinished, test, vi } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { silentLog } from "#lib/log/log.ts";
import type { Look } from "./out/look.ts";
import type { AttachmentRow } from "./out/rows.ts";
import { createSignals } from "./out/signals.ts";
import type { Reader } from "./ports.ts";
import { waitForHosts } from "./wait.ts";

/** No wait of these tests is to read rows by itself. */
const db = undefined as unknown as Reader;
const ID = "eni-attach-1";

const rowOf = (applied: boolean): AttachmentRow =>
  ({
    attachment_id: ID,
    host_id: "host-1",
    network_id: 1n,
    state: applied ? AttachmentState.ATTACHED : AttachmentState.ATTACHING,
    wanted: Wanted.PRESENT,
    generation: 1n,
    applied_generation: applied ? 1n : 0n,
    applied_state: applied ? AppliedState.PRESENT : 0,
    forced_version: null,
  }) as unknown as AttachmentRow;

function scene(timeoutMs = 10_000) {
  const signals = createSignals(new MemoryHub().connect(silentLog()));
  let applied = false;
  const looks: string[][] = [];
  const look = (ids: readonly string[]): Promise<Look> => {
    looks.push([...ids]);
    const seen = { hosts: new Map(), networks: new Map() };
    return Promise.resolve({ rows: [rowOf(applied)], seen, sums: new Map(), residue: new Map() });
  };
  const request = {
    attachmentIds: [ID],
    networkIds: [1n],
    goal: "programmed",
    wait: WaitFor.PROGRAMMED,
    timeoutMs,
    versions: new Map(),
  } as const;
  return {
    looks,
    signals,
    begun: () => ({ rows: [rowOf(false)], watch: signals.watch([ID]) }),
    says: (): void => {
      applied = true;
      signals.announce([ID]);
    },
    wait: (begun?: { rows: AttachmentRow[]; watch: ReturnType<typeof signals.watch> }) =>
      waitForHosts(db, signals, { ...request, look, begun }, new AbortController().signal),
  };
}

/** Time goes on only where the test says so. */
function standStill(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
}

test("what the transaction left open is not looked at before there is news", async () => {
  const { looks, begun, wait, says } = scene();
  const waiting = wait(begun());
  await new Promise((resolve) => setImmediate(resolve));
  expect(looks).toEqual([]);
  says();
  const { unfinished, look } = await waiting;
  expect([...unfinished]).toEqual([]);
  expect(look.rows[0]?.state).toBe(AttachmentState.ATTACHED);
  expect(looks).toEqual([[ID]]);
});

test("news between the commit and the wait is not missed", async () => {
  const { looks, begun, wait, says } = scene();
  const started = begun();
  says();
  standStill(); // and so without the backstop: only the news can end the wait
  await wait(started);
  expect(looks).toEqual([[ID]]);
});

test("without such a beginning it looks at once, and after its time answers what it has", async () => {
  standStill();
  const { looks, wait, signals } = scene(250);
  const waiting = wait();
  await vi.advanceTimersByTimeAsync(250);
  expect([...(await waiting).unfinished]).toEqual([ID]);
  expect(looks).toEqual([[ID], [ID]]);
  const begun = wait({ rows: [rowOf(false)], watch: signals.watch([ID]) });
  await vi.advanceTimersByTimeAsync(250);
  expect([...(await begun).unfinished]).toEqual([ID]);
  expect(looks).toEqual([[ID], [ID], [ID]]);
});
