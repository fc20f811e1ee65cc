import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { ConsentServiceDefinition, ConsentState } from "#gen/plenum/consent/v1/consent.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { newId } from "#lib/ids/ids.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import type { ResourceRef } from "../call/api.ts";
import { createConsents, grantsFor } from "../consent/api.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCoordinator } from "./coordinator.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C14: a consent is taken back in bounded time, however many rest on it, and with the answer nothing rests on it any more.

const LOOPS = 16;
/** Milliseconds after which a loop gives up, which fails: a revocation that never gets its turn while they go on is seen by that. */
const LOOPS_END_MS = 12_000;
let system: TestCoordinator;
let world: World;
beforeAll(async () => {
  [system, world] = await Promise.all([startTestCoordinator(), startWorld()]);
});
afterAll(() => Promise.all([system?.stop(), world?.stop()]));

/**
 * Does something over and over until it is refused; `refusal` says whether an error is one, and what is none fails.
 * `act` answers whether it worked or must be tried again. `undo` is done after each that worked, and may be refused as well. Answers when the last that worked began.
 */
async function untilRefused(
  act: () => Promise<boolean>,
  refusal: (error: unknown) => boolean,
  undo = (): Promise<unknown> => Promise.resolve(),
): Promise<{ lastAt: number }> {
  const ended = performance.now() + LOOPS_END_MS;
  let lastAt = 0;
  try {
    while (performance.now() < ended) {
      const at = performance.now();
      if (!(await act())) continue;
      lastAt = at;
      await undo();
    }
  } catch (error) {
    if (refusal(error)) return { lastAt };
    throw error;
  }
  throw new Error("was never refused");
}

it("whatever holds it, all the time: writes that overlap", async () => {
  const [accountId, ownerAccount] = [await system.account(), await system.account()];
  const thing: ResourceRef = { kind: "interface", id: newId("eni"), ownerAccount };
  const action = "nivc:DetachInterface";
  const { result } = await system.calls.internal((call) =>
    createConsents(call, [{ granteeAccount: accountId, actions: [action], resource: thing }]),
  );
  const consentId = result[0]?.consentId ?? "";
  const caller: Caller = { kind: "account", principalId: "ann", accountId, roles: ["owner"] };
  let held = 0;
  const loops = Array.from({ length: LOOPS }, () =>
    untilRefused(
      async () => {
        await system.calls.write({ caller, method: "/x" }, { action }, async (call) => {
          call.require(action, { ...thing, grants: (await grantsFor(call.tx, [thing.id])).get(thing.id) ?? [] });
          // They wait for each other at the end, when the consent is held.
          call.change("test:busy", Buffer.from("x"));
        });
        held += 1;
        return true;
      },
      (error) => /is no interface/.test(String(error)),
    ),
  );
  await vi.waitFor(() => expect(held).toBeGreaterThan(LOOPS * 2), { timeout: 8_000 });
  const grantor = await system.client(ConsentServiceDefinition, { role: "owner", accountId: ownerAccount });
  expect((await grantor.revokeConsent({ consentId })).consent?.state).toBe(ConsentState.REVOKED);
  const answered = performance.now();
  for (const { lastAt } of await Promise.all(loops)) expect(lastAt).toBeLessThan(answered);
}, 30_000);

it.each(["the consent itself", "the list of the interface"])(
  "by %s, under attach loops of the one that it was given to",
  async (by) => {
    const [owner, other] = [await world.account(), await world.account()];
    const { subnetId } = await world.network(owner.clients);
    const access = { attachers: [{ accountId: other.accountId }], detachers: [{ accountId: other.accountId }] };
    const { interface: made } = await owner.clients.interfaces.createInterface({ spec: { subnetId, access } });
    const { interfaceId = "" } = made ?? {};
    const instances = await Promise.all(
      Array.from({ length: LOOPS }, async () => (await other.clients.instances.runInstance({ stopped: true })).instance!.instanceId),
    );
    /** False: another loop has it at this moment. */
    const attach = async (instanceId: string): Promise<boolean> => {
      try {
        await other.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: WaitFor.COMMITTED });
        return true;
      } catch (error) {
        if (callFailure(error)?.reason === "ALREADY_ATTACHED") return false;
        throw error;
      }
    };
    let attached = 0;
    const loops = instances.map((instanceId) =>
      untilRefused(
        async () => {
          const worked = await attach(instanceId);
          attached += Number(worked);
          return worked;
        },
        (error) => ["NOT_FOUND", "PERMISSION_DENIED"].includes(callFailure(error)?.status ?? ""),
        () => other.clients.interfaces.detachInterface({ target: { $case: "instanceId", value: instanceId }, wait: WaitFor.COMMITTED }),
      ),
    );
    await vi.waitFor(() => expect(attached).toBeGreaterThan(10), { timeout: 8_000 });
    const consents = await world.client(ConsentServiceDefinition, { role: "owner", accountId: owner.accountId });
    if (by === "the consent itself") {
      for (const one of made?.access?.attachers ?? []) await consents.revokeConsent({ consentId: one.consentId });
    } else {
      await owner.clients.interfaces.updateInterface({
        interface: { interfaceId, access: { detachers: access.detachers } },
        updateMask: ["access"],
      });
    }
    const answered = performance.now();
    for (const { lastAt } of await Promise.all(loops)) expect(lastAt).toBeLessThan(answered);
  },
  40_000,
);
