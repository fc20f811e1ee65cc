import {
  CreatePrincipalResponse,
  DisablePrincipalResponse,
  PrincipalServiceDefinition,
  PrincipalState,
  RevokeTokensResponse,
} from "#gen/plenum/identity/v1/principal.ts";
import type { DisablePrincipalRequest, Principal as PrincipalMessage, UpdatePrincipalRequest } from "#gen/plenum/identity/v1/principal.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument, notFound } from "#lib/rpc/errors.ts";
import { descriptionField, displayName, soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { required } from "#lib/rpc/validate.ts";
import { INSTALLATION, maskField, openPage, storedAs, storedNothing, visibleAccount } from "../../call/api.ts";
import type { Calls, ResourceRef, WriteCall } from "../../call/api.ts";
import { mayIssue } from "../core/token-role.ts";
import { accountRef, requireAccount } from "../out/accounts.ts";
import { holdIssued } from "../out/issued.ts";
import { changePrincipal, getPrincipal, insertPrincipal, listPrincipals, principalRef } from "../out/principals.ts";
import type { Principal, PrincipalChange, PrincipalKey } from "../out/principals.ts";
import { ROLE_NUMBERS, roleField } from "./roles.ts";

const encode = (principal: Principal): PrincipalMessage => ({
  accountId: principal.accountId,
  principalId: principal.principalId,
  role: ROLE_NUMBERS[principal.role],
  state: principal.disableTime === null ? PrincipalState.ACTIVE : PrincipalState.DISABLED,
  description: principal.description,
  createTime: principal.createTime,
  disableTime: principal.disableTime ?? undefined,
  tokensNotBefore: principal.tokensNotBefore ?? undefined,
});

/** Whose principals they are: an account's, or the installation's. */
const ownerRef = (accountId: string): ResourceRef => (accountId === "" ? INSTALLATION : accountRef(accountId));

/** Says that a principal (its account, a line feed, its name) is not what it was. A hint: the row is the truth. */
const PRINCIPAL_SUBJECT = "plenum.int.principal";

function keyOf(request: PrincipalKey): PrincipalKey {
  return {
    accountId: request.accountId === "" ? "" : parseId("acct", request.accountId, "account_id"),
    principalId: soughtName(request.principalId, "principal_id", { min: 1, max: 128 }),
  };
}

/** A list's key as one text: a name may hold every character but control ones. */
const cursorOf = (principal: Principal): string => `${principal.accountId}\n${principal.principalId}`;

function afterOf(cursor: string): PrincipalKey | undefined {
  if (cursor === "") return undefined;
  const [accountId = "", principalId = ""] = cursor.split("\n");
  return { accountId, principalId };
}

/** What an update asks for, with its form checked. */
function changeOf(request: UpdatePrincipalRequest): { key: PrincipalKey; change: PrincipalChange } {
  const principal = required(request.principal, "principal");
  const fields = maskField(request.updateMask, ["role", "description"]);
  const key = keyOf(principal);
  const role = fields.has("role") ? roleField(principal.role, "principal.role") : undefined;
  if (role !== undefined && (role === "operator") !== (key.accountId === "")) {
    throw invalidArgument("principal.role", `is ${role}`, "who is an operator, and nobody else, is of no account; that does not change");
  }
  const description = fields.has("description") ? descriptionField(principal.description, "principal.description") : undefined;
  return { key, change: { role, description } };
}

/** PrincipalService as in the proto. */
export function principalService({ calls, pages, bus }: { calls: Calls; pages: PageTokens; bus: Bus }): ServiceBinding {
  const read = (context: ServerContext, key: PrincipalKey): Promise<PrincipalMessage> =>
    calls.read(context, context.action, async (call) => {
      call.requireSee(principalRef(key));
      const principal = await getPrincipal(call.tx, key.accountId, key.principalId);
      if (principal === undefined) throw notFound("principal", key.principalId);
      return encode(principal);
    });

  const change = async (call: WriteCall, action: string, key: PrincipalKey, to: PrincipalChange): Promise<PrincipalMessage> => {
    const ref = principalRef(key);
    if (to.role !== undefined) call.note("role", to.role);
    call.require(action, ref);
    if (to.role !== undefined && !mayIssue(call.subject.role, to.role)) call.forbid(action, ref, "a-role-never-rises");
    const principal = await changePrincipal(call.tx, key, to);
    if (principal === undefined) throw notFound("principal", key.principalId);
    call.afterCommit(() => bus.publish(PRINCIPAL_SUBJECT, Buffer.from(`${key.accountId}\n${key.principalId}`)));
    return encode(principal);
  };

  /** Done once: a repeat has the first answer. */
  const act = async (request: DisablePrincipalRequest, to: PrincipalChange, context: ServerContext): Promise<DisablePrincipalResponse> => {
    const key = keyOf(request);
    // Both answers are of one shape.
    const closes = key.accountId;
    const options = { action: context.action, requestId: request.requestId, request, closes, ...storedAs(DisablePrincipalResponse) };
    const { result } = await calls.write(context, options, async (call): Promise<DisablePrincipalResponse> => {
      return { principal: await change(call, context.action, key, to) };
    });
    return result;
  };
  const same = (one: PrincipalKey, other: PrincipalKey): boolean =>
    one.accountId === other.accountId && one.principalId === other.principalId;

  return bind(PrincipalServiceDefinition, {
    async createPrincipal(request, context) {
      const role = roleField(request.role, "role");
      const key = keyOf(request);
      displayName(key.principalId, "principal_id");
      if ((role === "operator") !== (key.accountId === "")) {
        const remedy = "an operator is of no account, whoever is of one is an owner, a member or a viewer";
        throw invalidArgument("account_id", key.accountId === "" ? "is missing" : "is set together with ROLE_OPERATOR", remedy);
      }
      const description = descriptionField(request.description, "description");
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreatePrincipalResponse) };
      const { result } = await calls.write(context, options, async (call): Promise<CreatePrincipalResponse> => {
        const owner = ownerRef(key.accountId);
        call.note("role", role);
        call.require(context.action, owner);
        if (key.accountId !== "") await requireAccount(call.tx, key.accountId);
        if (!mayIssue(call.subject.role, role)) call.forbid(context.action, owner, "a-role-never-rises");
        const principal = await insertPrincipal(call.tx, { ...key, role, description, createdBy: call.subject.principalId });
        call.concerns(principalRef(principal));
        return { principal: encode(principal) };
      });
      return result;
    },

    async getPrincipal(request, context) {
      const key = keyOf(request);
      return { principal: await read(context, key) };
    },

    async listPrincipals(request, context) {
      const asked = request.accountId === "" ? undefined : parseId("acct", request.accountId, "account_id");
      const page = openPage(pages, context, request, { asked });
      return calls.read(context, context.action, async (call) => {
        const visible = visibleAccount(call.subject);
        if (visible !== undefined && asked !== undefined && asked !== visible) return { principals: [], nextPageToken: "" };
        const rows = await listPrincipals(call.tx, { only: visible ?? asked, after: afterOf(page.after), limit: page.limit });
        const { items, nextPageToken } = page.cut(rows, cursorOf);
        return { principals: items.map(encode), nextPageToken };
      });
    },

    async updatePrincipal(request, context) {
      const { key, change: to } = changeOf(request);
      const closes = key.accountId;
      const options = { action: context.action, requestId: request.requestId, request, closes, ...storedNothing };
      const { result } = await calls.write(context, options, (call) => change(call, context.action, key, to));
      return { principal: result ?? (await read(context, key)) };
    },
    disablePrincipal: (request, context) => act(request, { disabled: true }, context),
    enablePrincipal: (request, context) => act(request, { disabled: false }, context),

    async revokeTokens(request, context) {
      const key = keyOf(request);
      const to = { revokeTokens: true };
      const closes = key.accountId;
      const options = { action: context.action, requestId: request.requestId, request, closes, ...storedAs(RevokeTokensResponse) };
      const { result } = await calls.write(context, options, async (call): Promise<RevokeTokensResponse> => {
        if (!request.withIssued) return { principal: await change(call, context.action, key, to), issued: [] };
        call.note("with_issued", "true");
        call.require(context.action, principalRef(key));
        const others = (await holdIssued(call.tx, key)).filter((one) => !same(one, key));
        const principal = await change(call, context.action, key, to);
        const issued: PrincipalMessage[] = [];
        for (const one of others) issued.push(await change(call, context.action, one, to));
        return { principal, issued };
      });
      return result;
    },
  });
}
