import { AccountServiceDefinition, AccountState, CreateAccountResponse, SuspendAccountResponse } from "#gen/plenum/identity/v1/account.ts";
import type { Account as AccountMessage, SuspendAccountRequest } from "#gen/plenum/identity/v1/account.ts";
import { newId, parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import { descriptionField } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { INSTALLATION, openPage, slug, storedAs, visibleAccount } from "../../call/api.ts";
import type { Calls, WriteCall } from "../../call/api.ts";
import { accountRef, getAccount, insertAccount, listAccounts, setSuspended } from "../out/accounts.ts";
import type { Account } from "../out/accounts.ts";

const encode = (account: Account): AccountMessage => ({
  accountId: account.accountId,
  name: account.name,
  description: account.description,
  createTime: account.createTime,
  state: account.suspendTime === null ? AccountState.ACTIVE : AccountState.SUSPENDED,
  suspendTime: account.suspendTime ?? undefined,
});

/** In the transaction in which an account is suspended or resumed. */
export type StandingChanged = (call: WriteCall, accountId: string) => Promise<void>;

export function accountService({
  calls,
  pages,
  standingChanged,
}: {
  calls: Calls;
  pages: PageTokens;
  standingChanged: StandingChanged;
}): ServiceBinding {
  /** It is the installation's business, not the account's: its owner may neither suspend nor resume it. */
  const suspend = async (request: SuspendAccountRequest, suspended: boolean, context: ServerContext): Promise<SuspendAccountResponse> => {
    const accountId = parseId("acct", request.accountId, "account_id");
    // The two answers are of one shape.
    const options = { action: context.action, requestId: request.requestId, request, ...storedAs(SuspendAccountResponse) };
    const { result } = await calls.write(context, options, async (call): Promise<SuspendAccountResponse> => {
      call.require(context.action, INSTALLATION);
      const account = await setSuspended(call.tx, accountId, suspended);
      if (account === undefined) throw notFound("account", accountId);
      await standingChanged(call, accountId);
      call.concerns(accountRef(accountId));
      return { account: encode(account) };
    });
    return result;
  };

  return bind(AccountServiceDefinition, {
    suspendAccount: (request, context) => suspend(request, true, context),
    resumeAccount: (request, context) => suspend(request, false, context),

    async createAccount(request, context) {
      const name = slug(request.name, "name");
      const description = descriptionField(request.description, "description");
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreateAccountResponse) };
      const { result } = await calls.write(context, options, async (call): Promise<CreateAccountResponse> => {
        call.require(context.action, INSTALLATION);
        const accountId = newId("acct");
        const account = await insertAccount(call.tx, { accountId, name, description, createdBy: call.subject.principalId });
        call.concerns(accountRef(accountId));
        return { account: encode(account) };
      });
      return result;
    },

    async getAccount(request, context) {
      const accountId = parseId("acct", request.accountId, "account_id");
      return calls.read(context, context.action, async (call) => {
        const account = await getAccount(call.tx, accountId);
        if (account === undefined) throw notFound("account", accountId);
        call.requireSee(accountRef(accountId));
        return { account: encode(account) };
      });
    },

    async listAccounts(request, context) {
      const page = openPage(pages, context, request);
      return calls.read(context, context.action, async (call) => {
        const only = visibleAccount(call.subject);
        const { items, nextPageToken } = page.cut(await listAccounts(call.tx, { only, ...page }), (account) => account.accountId);
        return { accounts: items.map(encode), nextPageToken };
      });
    },
  });
}
