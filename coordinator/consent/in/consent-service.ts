import { ConsentServiceDefinition, ConsentState as StateNumber, RevokeConsentResponse } from "#gen/plenum/consent/v1/consent.ts";
import type { Consent as ConsentMessage, RevokeConsentRequest } from "#gen/plenum/consent/v1/consent.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { enumValue } from "#lib/rpc/validate.ts";
import { checkEtag, etagOf, openPage, storedAs, visibleAccount } from "../../call/api.ts";
import type { Calls, ResourceRef, Tx } from "../../call/api.ts";
import type { Consent, ConsentLimit, ConsentState } from "../core/consent.ts";
import { setConsentState } from "../out/change-consents.ts";
import { listConsents, lockConsents, readConsent } from "../out/consents.ts";
import { limitsOf } from "../out/limits.ts";

/** A consent is its grantor's; its grantee sees it, and may do without it: its owners, and the principal that is named. */
export const consentRef = (consent: Consent): ResourceRef => ({
  kind: "consent",
  id: consent.consentId,
  ownerAccount: consent.grantorAccount,
  grants: ["", consent.granteePrincipal].map((principalId) => ({
    accountId: consent.granteeAccount,
    principalId,
    action: "consent:RevokeConsent",
  })),
});

const encode = (consent: Consent, limits: readonly ConsentLimit[] = []): ConsentMessage => ({
  consentId: consent.consentId,
  grantorAccount: consent.grantorAccount,
  granteeAccount: consent.granteeAccount,
  actions: [...consent.actions],
  resourceKind: consent.resourceKind,
  resourceId: consent.resourceId,
  state: StateNumber[consent.state],
  validFrom: consent.validFrom ?? undefined,
  validUntil: consent.validUntil ?? undefined,
  limits: limits.map(({ counter, maximum, used }) => ({ counter, maximum, used })),
  etag: etagOf(consent.version),
  createTime: consent.createTime,
  revokeTime: consent.revokeTime ?? undefined,
  granteePrincipal: consent.granteePrincipal,
});

async function encodeAll(tx: Tx, consents: readonly Consent[]): Promise<ConsentMessage[]> {
  const limits = await limitsOf(
    tx,
    consents.map((consent) => consent.consentId),
  );
  return consents.map((consent) => encode(consent, limits.get(consent.consentId)));
}

/** Filter value → state; the zero means all. */
function stateFilter(value: number): ConsentState | undefined {
  if (value === StateNumber.UNSPECIFIED) return undefined;
  const number = enumValue(value, StateNumber, "state");
  return (["ACTIVE", "SUSPENDED", "REVOKED"] as const).find((name) => StateNumber[name] === number);
}

/** ConsentService as in the proto. */
export function consentService({ calls, pages }: { calls: Calls; pages: PageTokens }): ServiceBinding {
  async function become(request: RevokeConsentRequest, context: ServerContext, state: ConsentState): Promise<RevokeConsentResponse> {
    const consentId = parseId("cons", request.consentId, "consent_id");
    // The three answers are of one shape.
    const options = { action: context.action, requestId: request.requestId, request, ...storedAs(RevokeConsentResponse) };
    const { result } = await calls.write(context, options, async (call): Promise<RevokeConsentResponse> => {
      const seen = await readConsent(call.tx, consentId);
      if (seen === undefined) throw notFound("consent", consentId);
      // Asked before it is locked: a stranger's call must not make others wait.
      call.require(context.action, consentRef(seen));
      const [consent = seen] = await lockConsents(call.tx, [seen.resourceId], [consentId]);
      const done = consent.state === state;
      if (consent.state === "REVOKED" && !done) {
        throw failedPrecondition("WRONG_STATE", `${consentId} is revoked, for good: give a new one`, { state: consent.state });
      }
      if (!done) checkEtag(request.etag, consent.version);
      const [now] = await encodeAll(call.tx, [done ? consent : await setConsentState(call, consentId, state)]);
      return { consent: now };
    });
    return result;
  }

  return bind(ConsentServiceDefinition, {
    async getConsent(request, context) {
      const consentId = parseId("cons", request.consentId, "consent_id");
      return calls.read(context, context.action, async (call) => {
        const consent = await readConsent(call.tx, consentId);
        if (consent === undefined) throw notFound("consent", consentId);
        call.requireSee(consentRef(consent));
        return { consent: (await encodeAll(call.tx, [consent]))[0] };
      });
    },

    async listConsents(request, context) {
      const resourceId = soughtName(request.resourceId, "resource_id");
      const state = stateFilter(request.state);
      const page = openPage(pages, context, request, { resourceId, state });
      return calls.read(context, context.action, async (call) => {
        const filter = { party: visibleAccount(call.subject), resourceId, state, after: page.after, limit: page.limit };
        const { items, nextPageToken } = page.cut(await listConsents(call.tx, filter), (consent) => consent.consentId);
        return { consents: await encodeAll(call.tx, items), nextPageToken };
      });
    },

    suspendConsent: (request, context) => become(request, context, "SUSPENDED"),
    resumeConsent: (request, context) => become(request, context, "ACTIVE"),
    revokeConsent: (request, context) => become(request, context, "REVOKED"),
  });
}
