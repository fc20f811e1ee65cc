import { QuotaServiceDefinition } from "#gen/plenum/identity/v1/quota.ts";
import type { Quota } from "#gen/plenum/identity/v1/quota.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { INSTALLATION, storedNothing } from "../../call/api.ts";
import type { Calls, ReadCall } from "../../call/api.ts";
import { QUOTA_NAMES } from "../core/quota.ts";
import type { QuotaName } from "../core/quota.ts";
import { accountRef, requireAccount } from "../out/accounts.ts";
import { accountQuotas, setAccountQuota } from "../out/quotas.ts";
import type { AccountQuota } from "../out/quotas.ts";

const MAX_MAXIMUM = 1_000_000_000n;

const encode = ({ name, maximum, own, used }: AccountQuota): Quota => ({ name, maximum, own, used: used ?? undefined });

function quotaField(name: string): QuotaName {
  const known = QUOTA_NAMES.find((one) => one === name);
  if (known === undefined)
    throw invalidArgument("name", `is ${JSON.stringify(name.slice(0, 80))}`, `give one of ${QUOTA_NAMES.join(", ")}`);
  return known;
}

function maximumField(maximum: bigint | undefined): bigint | undefined {
  if (maximum === undefined || (maximum >= 0n && maximum <= MAX_MAXIMUM)) return maximum;
  throw invalidArgument("maximum", `is ${maximum}`, `give 0 to ${MAX_MAXIMUM}, or nothing for the installation's`);
}

async function named(call: ReadCall, accountId: string, name: QuotaName): Promise<Quota> {
  const quota = (await accountQuotas(call.tx, accountId)).find((one) => one.name === name);
  if (quota === undefined) throw new Error(`the quota ${name} is not among an account's`);
  return encode(quota);
}

/** QuotaService as in the proto. */
export function quotaService({ calls }: { calls: Calls }): ServiceBinding {
  return bind(QuotaServiceDefinition, {
    async getQuotas(request, context) {
      const accountId = parseId("acct", request.accountId, "account_id");
      return calls.read(context, context.action, async (call) => {
        call.requireSee(accountRef(accountId));
        await requireAccount(call.tx, accountId);
        return { quotas: (await accountQuotas(call.tx, accountId)).map(encode) };
      });
    },

    async setQuota(request, context) {
      const accountId = parseId("acct", request.accountId, "account_id");
      const name = quotaField(request.name);
      const maximum = maximumField(request.maximum);
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result } = await calls.write(context, options, async (call) => {
        call.require(context.action, INSTALLATION);
        await requireAccount(call.tx, accountId);
        await setAccountQuota(call.tx, accountId, name, maximum);
        call.concerns(accountRef(accountId));
        return named(call, accountId, name);
      });
      return { quota: result ?? (await calls.read(context, context.action, (call) => named(call, accountId, name))) };
    },
  });
}
