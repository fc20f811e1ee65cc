import { sql } from "kysely";
import type { KyselyPlugin, QueryId } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "#lib/log/log.ts";
import { createCalls } from "../call/api.ts";
import type { Tx, WriteCall } from "../call/api.ts";
import { grantsFor } from "../consent/api.ts";
import { attachInterfaces } from "../interface/api.ts";
import { instanceDirectory } from "../placement/api.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

/** Runs `meanwhile` once, after the first statement that has `text`, before whoever sent it gets its answer. */
function after(text: string, meanwhile: () => Promise<unknown>): KyselyPlugin {
  let wanted: QueryId | undefined;
  let done = false;
  return {
    transformQuery({ node, queryId }) {
      if (node.kind === "RawNode" && node.sqlFragments.some((part) => part.includes(text))) wanted ??= queryId;
      return node;
    },
    async transformResult({ queryId, result }) {
      if (queryId === wanted && !done) {
        done = true;
        await meanwhile();
      }
      return result;
    },
  };
}

/** The same call, whose statements go through `tx`. */
const through = (call: WriteCall, tx: Tx): WriteCall =>
  new Proxy(call, {
    get(target, name) {
      if (name === "tx") return tx;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });

/** Two records that share an address, on stopped instances; the second is attached. */
async function rivals() {
  const { clients, accountId } = await world.account();
  const { subnetId } = await world.network(clients);
  const record = async (...privateAddresses: string[]) =>
    (await clients.interfaces.createInterface({ spec: { subnetId, privateAddresses } })).interface?.interfaceId ?? "";
  const run = async () => (await clients.instances.runInstance({ stopped: true })).instance?.instanceId ?? "";
  const [interfaceId, rival] = [await record("10.0.1.50", "10.0.1.51"), await record("10.0.1.50")];
  const [instanceId, other] = [await run(), await run()];
  const attachRival = () => clients.interfaces.attachInterface({ spec: { interfaceId: rival, instanceId: other } });
  const detachRival = () => clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: rival } });
  await attachRival();
  const calls = createCalls({ db: world.db.kysely, bus: world.hub.connect(silentLog()), grants: grantsFor, log: silentLog() });
  /** Attach the first one, with other things happening in between. */
  const meet = async (...plugins: KyselyPlugin[]) => {
    const wanted = { interfaceId, instanceId, deviceIndex: undefined, deleteOnTerminate: false, path: "spec" };
    const { result } = await calls.internal(
      (call) => {
        const tx = plugins.reduce<Tx>((on, plugin) => on.withPlugin(plugin), call.tx);
        return attachInterfaces(through(call, tx), instanceDirectory, [wanted]);
      },
      { kind: "account", principalId: "alice", accountId, role: "owner" },
    );
    return result[0]?.attachment_id ?? "";
  };
  return { meet, attachRival, detachRival };
}

const INSERT = "INSERT INTO attachment (";
const HOLDERS = "FROM attachment_address h";

test("an attach that meets the end of its addresses' holder attaches", async () => {
  const { meet, detachRival } = await rivals();
  const attachmentId = await meet(after(INSERT, detachRival));
  const { rows } = await sql<{ address: string }>`
    SELECT host(address) AS address FROM attachment_address WHERE attachment_id = ${attachmentId} ORDER BY 1`.execute(world.db.kysely);
  expect(rows.map((row) => row.address)).toEqual(["10.0.1.50", "10.0.1.51"]);
});

test("an attach that is overtaken meanwhile is to be repeated, and says so", async () => {
  const { meet, attachRival, detachRival } = await rivals();
  await expect(meet(after(INSERT, detachRival), after(HOLDERS, attachRival))).rejects.toMatchObject({ reason: "CONFLICT" });
  await expect(meet()).rejects.toMatchObject({ reason: "ADDRESS_IN_USE" });
});
