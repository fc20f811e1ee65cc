import type { TokenIssuer } from "#lib/auth/token.ts";
import { barredError, hostBarred } from "#lib/rpc/barred.ts";
import type { InstanceSource, Role } from "#lib/rpc/caller.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import type { Calls, ReadCall, ResourceRef, Standing } from "../call/api.ts";
import { principalDisabled } from "../identity/api.ts";
import { instanceRef } from "../interface/api.ts";
import { runs, stateName } from "./core/instance-state.ts";
import { actorStanding, noteVouched } from "./out/acting-store.ts";
import { barredAmong } from "./out/bar-store.ts";
import { lockInstances, readInstance } from "./out/instance-store.ts";
import type { InstanceRow } from "./out/instance-store.ts";

/** How long an instance's token lives: who copies it has no more than this. */
export const INSTANCE_TOKEN_S = 300;

/** Whom an instance may be now. */
interface Grant {
  readonly accountId: string;
  readonly principalId: string;
  readonly role: Role;
  readonly via: InstanceSource;
  readonly issuedAt: Date;
  /** Of its generation. */
  readonly first: boolean;
}

/** As hosts see it: there is what they are to carry, and nothing else. */
const carried = (row: InstanceRow): ResourceRef => ({
  ...instanceRef({ instanceId: row.instance_id, ownerAccount: row.owner_account }),
  ...(row.host_id === null ? {} : { carriedBy: row.host_id }),
});

function roleOf(standing: Standing | null, who: { principalId: string; accountId: string }): Role {
  switch (standing) {
    case null:
      throw notFound("principal", who.principalId);
    case "disabled":
      throw principalDisabled(who.principalId);
    case "revoked": // a moment ago, as this began: a repeat gets a token that counts
    case "suspended":
    case "ended":
      throw barredError(standing, who);
    default:
      return standing;
  }
}

/** NOT_FOUND, FAILED_PRECONDITION (WRONG_STATE, NO_INSTANCE_IDENTITY, PRINCIPAL_DISABLED), PERMISSION_DENIED (ACCOUNT_SUSPENDED, HOST_BARRED). */
async function grantOf(call: ReadCall, row: InstanceRow | undefined, instanceId: string): Promise<Grant> {
  const { hostId: asking = "" } = call.subject;
  if ((await barredAmong(call.tx, [asking])).length > 0) throw hostBarred(asking);
  if (row === undefined) throw notFound("instance", instanceId);
  call.requireSee(carried(row));
  const { host_id: hostId, generation, owner_account: accountId, acts_as: principalId } = row;
  if (hostId === null || !runs(row.state)) {
    const state = stateName(row.state);
    throw failedPrecondition("WRONG_STATE", `${instanceId} is ${state}: only what is to run gets a token`, { state });
  }
  if (principalId === "")
    throw failedPrecondition("NO_INSTANCE_IDENTITY", `${instanceId} acts as nobody: its owner names a principal (acts_as)`, {
      instance_id: instanceId,
    });
  const role = roleOf(await actorStanding(call.tx, accountId, principalId, call.now), { principalId, accountId });
  const via = { instanceId, hostId, generation };
  return { accountId, principalId, role, via, issuedAt: call.now, first: row.vouched_generation !== generation };
}

/**
 * A token for an instance that acts as a principal, for the calling host. Like a read it leaves no row in the audit, but for the first
 * of each generation: from then on this host speaks for the instance. Issued after the commit: no token exists that the audit does not know of.
 */
export async function issueInstanceToken(
  { calls, tokens }: { calls: Calls; tokens: TokenIssuer },
  context: ServerContext,
  instanceId: string,
): Promise<{ token: string; expiresAt: Date }> {
  const { action } = context;
  const read = await calls.read(context, action, async (call) => grantOf(call, await readInstance(call.tx, instanceId), instanceId));
  const grant = read.first ? await vouch(calls, context, instanceId) : read;
  const { role, ...token } = grant;
  return tokens.issue({ ...token, roles: [role], ttlSeconds: INSTANCE_TOKEN_S });
}

async function vouch(calls: Calls, context: ServerContext, instanceId: string): Promise<Grant> {
  const { action } = context;
  const { result } = await calls.write(context, { action }, async (call) => {
    const row = (await lockInstances(call.tx, [instanceId])).get(instanceId);
    const grant = await grantOf(call, row, instanceId);
    call.note("acts_as", grant.principalId);
    if (row !== undefined) call.require(action, carried(row));
    await noteVouched(call.tx, instanceId);
    return grant;
  });
  return result;
}
