import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { createScopeReader } from "#lib/feed/feed.ts";
import { silentLog } from "#lib/log/log.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { startServer } from "#lib/rpc/server.ts";
import { createCalls, openSharedPageTokens, SCHEMA } from "../call/api.ts";
import type { Calls } from "../call/api.ts";
import { grantsFor, holdConsents } from "../consent/api.ts";
import { principalStanding } from "../identity/api.ts";
import { interfaceService } from "../interface/in/interface-service.ts";
import { InterfaceWatches } from "../interface/in/watch-interfaces.ts";
import { createSignals } from "../interface/out/signals.ts";
import type { Signals } from "../interface/out/signals.ts";
import { instanceDirectory } from "../placement/api.ts";
import { scene, seconds } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { lockAwaited } from "./locks.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// What a caller gets that waited, and what it leaves behind when it does not (C6, C15).

type Interfaces = PlenumClient<typeof InterfaceServiceDefinition>;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());
const closers: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const allow = ({ clients, interfaceId }: Scene, accountIds: readonly string[]) =>
  clients.interfaces.updateInterface({
    interface: { interfaceId, access: { detachers: accountIds.map((accountId) => ({ accountId })) } },
    updateMask: ["access"],
  });

interface Counted {
  /** Clients of an owner of the account. */
  as(accountId: string): Interfaces;
  /** Calls that wait now. */
  waiting(): number;
  /** Keys of each wait so far, in the order of their beginnings. */
  readonly watched: readonly (readonly string[])[];
}

/** The service of interfaces, with those who wait counted. Its tokens are ids of accounts. `through`: what its writes go through. */
async function counted(through: (calls: Calls) => Calls = (calls) => calls): Promise<Counted> {
  const watched: (readonly string[])[] = [];
  const db = world.db.kysely;
  const bus = world.hub.connect(silentLog());
  closers.push(() => bus.close());
  const signals = createSignals(bus);
  closers.push(() => signals.close());
  let open = 0;
  const counting: Signals = {
    ...signals,
    watch(keys) {
      open += 1;
      watched.push(keys);
      const watch = signals.watch(keys);
      return {
        ...watch,
        close() {
          open -= 1;
          watch.close();
        },
      };
    },
  };
  const calls = through(createCalls({ db, bus, grants: grantsFor, hold: holdConsents, standing: principalStanding, log: silentLog() }));
  const reader = createScopeReader<unknown>({ db, schema: SCHEMA, bus, log: silentLog() });
  closers.push(() => reader.close());
  const pages = await openSharedPageTokens(db);
  const service = interfaceService({
    ...{ calls, db, pages, directory: instanceDirectory },
    watches: new InterfaceWatches({ calls, pages, reader, directory: instanceDirectory, maxWatches: 1 }),
    signals: counting,
    network: { withGroupSets: (run) => run() },
  });
  const verify = (accountId: string): Promise<Caller> =>
    Promise.resolve({ kind: "account", principalId: "alice", accountId, roles: ["owner"] });
  const server = await startServer({
    listeners: [{ address: "127.0.0.1:0" }],
    services: [service],
    log: silentLog(),
    verifier: { verify },
  });
  closers.push(() => server.stop());
  return {
    as(accountId) {
      const channel = openChannel({ address: server.addresses[0] ?? "", token: accountId, deadlineMs: 60_000 });
      closers.push(() => channel.close());
      return channel.client(InterfaceServiceDefinition);
    },
    waiting: () => open,
    watched,
  };
}

const LONG = seconds(20);
const detachBy = (by: Interfaces, { interfaceId }: Scene, options: Parameters<Interfaces["detachInterface"]>[1] = {}) =>
  by.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, waitTimeout: LONG }, options);

test("who loses its right while it waits gets nothing; the owner gets the attachment", async () => {
  const at = await scene(world);
  const { as, waiting } = await counted();
  const detacher = await world.account();
  await allow(at, [detacher.accountId]);
  at.lost.behaviour.acknowledge = false;
  const theirs = refusalOfCall(detachBy(as(detacher.accountId), at));
  const owners = detachBy(as(at.accountId), at);
  await expect.poll(waiting).toBe(2);
  await allow(at, []);
  at.lost.acknowledge();
  expect(await theirs).toMatchObject({ status: "NOT_FOUND" });
  expect((await owners).attachments[0]?.state).toBe(AttachmentState.DETACHED);
});

test("a call whose twin wins a deadlock waits for what the twin wrote", async () => {
  const at = await scene(world);
  const { instance } = await at.clients.instances.runInstance({ stopped: true });
  const { interface: made } = await at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId } });
  const spec = { interfaceId: made?.interfaceId ?? "", instanceId: instance?.instanceId ?? "" };
  const request = { spec, requestId: "twins" };
  let twin: Promise<string> | undefined;
  const { as, watched, waiting } = await counted((calls) => ({
    ...calls,
    read: (...all) => calls.read(...all),
    readAtOnce: (...all) => calls.readAtOnce(...all),
    write: (context, options, fn) =>
      calls.write(context, options, async (call) => {
        const result = await fn(call);
        if (twin !== undefined) return result;
        // What it did is rolled back, and run again: the twin waits for this one's key, and then has it.
        twin = as(at.accountId)
          .attachInterface(request)
          .then(({ attachment }) => attachment?.attachmentId ?? "");
        await lockAwaited(world.db.kysely);
        throw Object.assign(new Error("deadlock detected"), { code: "40P01" });
      }),
  }));
  const { attachment } = await as(at.accountId).attachInterface(request);
  expect(attachment?.attachmentId).toBe(await twin);
  expect(watched[0]).not.toEqual([attachment?.attachmentId]);
  expect(watched.slice(1)).toEqual([[attachment?.attachmentId], [attachment?.attachmentId]]);
  expect(waiting()).toBe(0);
});

test("a caller that hangs up, or whose deadline comes, leaves nobody waiting; what it asked for goes on", async () => {
  const at = await scene(world);
  const { as, waiting } = await counted();
  at.lost.behaviour.acknowledge = false;
  const by = as(at.accountId);
  const hanging = new AbortController();
  const cut = detachBy(by, at, { signal: hanging.signal });
  cut.catch(() => undefined);
  await expect.poll(waiting).toBe(1);
  hanging.abort();
  await expect(cut).rejects.toThrow();
  await expect.poll(waiting).toBe(0);

  const late = await refusalOfCall(detachBy(by, at, { deadline: 400 }));
  expect(late).toMatchObject({ status: "DEADLINE_EXCEEDED" });
  await expect.poll(waiting).toBe(0);

  const patient = detachBy(by, at);
  await expect.poll(waiting).toBe(1);
  at.lost.acknowledge();
  expect((await patient).attachments[0]?.state).toBe(AttachmentState.DETACHED);
  expect(waiting()).toBe(0);
});
