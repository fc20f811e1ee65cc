import { afterAll, beforeAll, expect, it } from "vitest";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Installation, Network } from "./support/installation.ts";
import { peopleOf } from "./support/person.ts";
import type { People, Person } from "./support/person.ts";
import { ping } from "./support/traffic.ts";

// N10: the lists of who may attach, detach, set addresses and modify, between accounts, from the command line and by calls.

let at: Installation;
let people: People;
let owner: Person;
let editor: Person;
let tenant: Person;
let network: Network;

beforeAll(async () => {
  at = await install({ hosts: 1 });
  people = peopleOf(at);
  [owner, editor, tenant] = [await people.person("owner"), await people.person("editor"), await people.person("tenant")];
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => {
  await at?.stop();
  people?.forget();
});

const NOT_ALLOWED = 4;
const NO_SUCH = 5;

it("a modifier edits the lists, whole, and so lets a third account attach, address and detach; taken back, it ends", async () => {
  const made = await owner.plenum(
    ...["-o", "json", "eni", "create", "--subnet", network.subnetId, "--group", network.openGroupId],
    ...["--modifier", editor.accountId, "--detacher", editor.accountId],
  );
  expect(made.stderr).toBe("");
  const { interfaceId } = JSON.parse(made.stdout) as { interfaceId: string };
  // Its own instance, in its own network, on the host where a neighbour of the owner's is.
  const instanceId = (await runGuest(at, tenant, await makeNetwork(tenant.clients), { host: 0 })).instanceId;
  const neighbour = await runGuest(at, owner, network, { host: 0 });
  expect((await tenant.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NO_SUCH);

  const lists = ["attacher", "detacher", "address-setter"].flatMap((list) => ["--add", `${list}=${tenant.accountId}`]);
  expect(await editor.plenum("eni", "access", interfaceId, ...lists)).toMatchObject({ code: 0, stderr: "" });
  // It wrote whole lists, and nobody's entry was lost.
  const access = (await owner.clients.interfaces.getInterface({ interfaceId })).interface!.access!;
  const named = (grants: readonly { accountId: string }[]) => grants.map((grant) => grant.accountId);
  expect(named(access.attachers)).toEqual([tenant.accountId]);
  expect(named(access.detachers)).toEqual([editor.accountId, tenant.accountId]);
  expect(named(access.addressSetters)).toEqual([tenant.accountId]);
  expect(named(access.modifiers)).toEqual([editor.accountId]);
  expect((await editor.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NOT_ALLOWED);
  expect((await tenant.plenum("eni", "access", interfaceId, "--add", `modifier=${tenant.accountId}`)).code).toBe(NOT_ALLOWED);

  expect(await tenant.plenum("eni", "attach", interfaceId, instanceId, "--wait", "reachable")).toMatchObject({ code: 0, stderr: "" });
  expect(await tenant.plenum("eni", "addresses", interfaceId, "10.0.1.150", "--wait", "reachable")).toMatchObject({ code: 0, stderr: "" });
  expect(await ping(neighbour.netns, "10.0.1.150")).toEqual({ sent: 5, received: 5 });

  const taken = ["--remove", `attacher=${tenant.accountId}`, "--remove", `address-setter=${tenant.accountId}`];
  expect((await editor.plenum("eni", "access", interfaceId, ...taken)).code).toBe(0);
  expect((await tenant.plenum("eni", "addresses", interfaceId, "10.0.1.151")).code).toBe(NOT_ALLOWED);
  expect((await tenant.plenum("eni", "detach", interfaceId)).code).toBe(0);
  expect((await ping(neighbour.netns, "10.0.1.150", 3)).received).toBe(0);
  expect((await tenant.plenum("eni", "attach", interfaceId, instanceId)).code).toBe(NOT_ALLOWED);
  expect((await owner.plenum("eni", "delete", interfaceId)).code).toBe(0);
});

const LISTS = ["attachers", "detachers", "addressSetters", "modifiers"] as const;
type List = (typeof LISTS)[number];
/** An account that one list names, and an instance of its own. */
type Named = Person & { readonly instanceId: string };

it("each list alone suffices for its act, and for nothing else", async () => {
  const named = {} as Record<List, Named>;
  for (const list of LISTS) {
    const account = await people.person(`one-${list.toLowerCase()}`);
    const { instance } = await account.clients.instances.runInstance({ stopped: true });
    named[list] = { ...account, instanceId: instance!.instanceId };
  }
  const { vpcId, subnetId, openGroupId } = network;
  const { securityGroup: closed } = await owner.clients.groups.createSecurityGroup({ vpcId, name: "closed" });
  const access = Object.fromEntries(LISTS.map((list) => [list, [{ accountId: named[list].accountId }]]));
  const spec = { subnetId, securityGroupIds: [openGroupId], privateAddresses: ["10.0.1.160"], access };
  const { interfaceId } = (await owner.clients.interfaces.createInterface({ spec })).interface!;
  const guest = await runGuest(at, owner, network, { host: 0 });
  const peer = await runGuest(at, owner, network, { host: 0 });
  const wait = WaitFor.REACHABLE;
  const attach = ({ clients }: Person, instanceId: string) =>
    clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait });
  const detach = ({ clients }: Person) => clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
  const set = ({ clients }: Person, address: string) => clients.interfaces.setAddresses({ interfaceId, privateAddresses: [address], wait });
  const modify = ({ clients }: Person, group: string) =>
    clients.interfaces.updateInterface({ interface: { interfaceId, securityGroupIds: [group] }, updateMask: ["security_group_ids"], wait });
  const remove = ({ clients }: Person) => clients.interfaces.deleteInterface({ interfaceId });
  /** Refused to all but those that the list names. */
  const refusedToOthers = async (list: List | undefined, act: (who: Named) => Promise<unknown>) => {
    for (const other of LISTS.filter((one) => one !== list)) {
      const failure = callFailure(await act(named[other]).catch((error: unknown) => error));
      expect({ other, status: failure?.status, reason: failure?.reason }).toEqual({
        ...{ other, status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" },
      });
    }
  };
  const answers = (address: string) => ping(peer.netns, address, 3).then(({ received }) => received);

  // On an instance of the owner's, where no other right than the list's is in play.
  await attach(owner, guest.instanceId);
  await refusedToOthers("detachers", detach);
  await refusedToOthers("addressSetters", (who) => set(who, "10.0.1.161"));
  await refusedToOthers("modifiers", (who) => modify(who, closed!.securityGroupId));
  await refusedToOthers(undefined, remove);
  expect(await answers("10.0.1.160")).toBe(3);

  await set(named.addressSetters, "10.0.1.161");
  expect([await answers("10.0.1.161"), await answers("10.0.1.160")]).toEqual([3, 0]);
  await modify(named.modifiers, closed!.securityGroupId);
  expect(await answers("10.0.1.161")).toBe(0);
  await modify(named.modifiers, openGroupId);
  expect(await answers("10.0.1.161")).toBe(3);
  await detach(named.detachers);
  expect(await answers("10.0.1.161")).toBe(0);

  await refusedToOthers("attachers", (who) => attach(who, who.instanceId));
  const theirs = await runGuest(at, named.attachers, await makeNetwork(named.attachers.clients), { host: 0 });
  await attach(named.attachers, theirs.instanceId);
  expect(await answers("10.0.1.161")).toBe(3);
  // What the lists let others do is in the audit, as done by the consent.
  const { entries } = await owner.clients.audit.listAuditEntries({ resourceId: interfaceId, pageSize: 1_000 });
  const done = entries.filter((entry) => entry.delegationId !== "").map((entry) => entry.action);
  expect(new Set(done)).toEqual(new Set(["nivc:SetAddresses", "nivc:UpdateInterface", "nivc:DetachInterface", "nivc:AttachInterface"]));
});
