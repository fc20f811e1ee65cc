import { Status } from "nice-grpc-common";
import { expect, test } from "vitest";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import type { Applied, ConnectRequest } from "#gen/plenum/host/v1/host_feed.ts";
import { silentLog } from "#lib/log/log.ts";
import { HostSession } from "./session.ts";
import type { SessionDependencies } from "./session.ts";

/** A session whose writes hang; how it ends, and how many of the messages it took. */
async function end(messages: Iterable<Partial<Applied>>): Promise<{ ended: unknown; taken: number }> {
  const follower = { version: 0n, done: new Promise(() => undefined), catchUp: () => Promise.resolve(), close: () => undefined };
  const deps = {
    reader: { follow: () => follower },
    sessions: { add: () => undefined, remove: () => undefined },
    versions: { write: () => new Promise(() => undefined) },
    log: silentLog(),
  } as unknown as SessionDependencies;
  const session = new HostSession(deps, "host-1", 1n);
  let taken = 0;
  const requests = async function* (): AsyncGenerator<ConnectRequest> {
    const nothing: Applied = { sessionEpoch: 1n, hostVersion: 1n, networkVersions: new Map(), attachments: [], instances: [] };
    yield { message: { $case: "applied", value: nothing } };
    for (const message of messages) {
      await Promise.resolve();
      taken += 1;
      yield { message: { $case: "applied", value: { ...nothing, ...message } } };
    }
  };
  await session.hear(requests());
  const read = async (): Promise<void> => {
    for await (const _message of session.messages());
  };
  const ended = await read().then(
    () => "by the host",
    (error: unknown) => error,
  );
  return { ended, taken };
}

const INSTANCE = { generation: 1n, state: AppliedState.PRESENT, message: "", netnsPath: "", processRunning: false };
const attachmentOf = (attachmentId: string, message = "") => ({ attachmentId, generation: 1n, state: AppliedState.PRESENT, message });
const instanceOf = (instanceId: string) => ({ ...INSTANCE, instanceId });

function* times<Message>(count: number, of: (index: number) => Message): Generator<Message> {
  for (let index = 0; index < count; index += 1) yield of(index);
}
const ids = (index: number): string[] => Array.from({ length: 1_000 }, (_, one) => `${index}-${one}`);

test.each<[string, (index: number) => Partial<Applied>, number]>([
  ["attachments", (index: number) => ({ attachments: ids(index).map((id) => attachmentOf(id)) }), 66],
  ["instances", (index: number) => ({ instances: ids(index).map(instanceOf) }), 66],
  ["networks", (index: number) => ({ networkVersions: new Map(ids(index).map((_, one) => [BigInt(index * 1_000 + one), 1n])) }), 66],
  ["text", (index: number) => ({ attachments: [attachmentOf(`${index}`, "x".repeat(1_000_000))] }), 17],
])("a host that invents %s while nothing can be written is heard to no end", async (_what, of, most) => {
  const { ended, taken } = await end(times(200, of));
  expect(ended).toMatchObject({ code: Status.RESOURCE_EXHAUSTED, reason: "LIMIT_EXCEEDED" });
  expect(taken).toBe(most);
});

test("one that says the same again and again is heard to its end", async () => {
  const same = { attachments: [...ids(0).map((id) => attachmentOf(id)), attachmentOf("long", "x".repeat(1_000_000))] };
  expect(await end(times(200, () => same))).toEqual({ ended: "by the host", taken: 200 });
});
