import { barredError } from "#lib/rpc/barred.ts";
import type { Barred } from "#lib/rpc/barred.ts";
import { notFound, permissionDenied, PlenumError } from "#lib/rpc/errors.ts";
import type { Sight, Tx, WriteCall } from "../api.ts";
import { actsBy, inOwnRight, isGrantee, SEE } from "../core/decide.ts";
import type { Decision, ResourceGrant, ResourceRef } from "../core/decide.ts";
import type { Origin } from "../core/origin.ts";
import type { Subject } from "../core/subject.ts";
import { auditRecord } from "./audit.ts";
import type { AuditRecord, Delegation } from "./audit.ts";
import { decide } from "./decide.ts";
import type { AllowedAction } from "./idempotency.ts";

/** What the audit calls it. */
const BARRED_RULE: Readonly<Record<Barred, string>> = {
  disabled: "principal disabled",
  revoked: "tokens revoked",
  suspended: "account suspended",
  ended: "instance token ended",
};

/** What the audit says of a resource that is nobody's to see. */
const NOT_THERE = "not there";

/** Refusals that were thrown, so that whoever catches them outside the transaction can write them down. */
export class Refusals {
  #origin: Origin;
  readonly #records = new WeakMap<Error, AuditRecord>();

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** Of the call that they end. */
  get origin(): Origin {
    return this.#origin;
  }

  note(key: string, value: string): void {
    this.#origin = { ...this.#origin, details: { ...this.#origin.details, [key]: value } };
  }

  /** The error for a caller from whom nothing is taken now. */
  refuseBarred(subject: Subject, action: string, why: Barred): Error {
    const { principalId, accountId = "" } = subject;
    const error = barredError(why, { principalId, accountId, instanceId: subject.via?.instanceId ?? "" });
    const resource: ResourceRef = { kind: "account", id: accountId, ownerAccount: accountId };
    const { origin } = this;
    this.#records.set(error, auditRecord({ subject, origin, action, resource, effect: "deny-visible", rule: BARRED_RULE[why] }));
    return error;
  }

  /**
   * The error for a refused decision. A hidden one looks exactly like a resource that does not exist. `delegation`: what the caller would
   * have acted by.
   */
  refuse(subject: Subject, action: string, resource: ResourceRef, decision: Decision, delegation?: Delegation): Error {
    const record = auditRecord({ subject, origin: this.origin, action, resource, delegation, ...decision });
    const error =
      decision.effect === "deny-hidden"
        ? notFound(resource.kind, resource.id)
        : permissionDenied(action, `you are not allowed to ${action} (${decision.rule}; decision ${record.entryId})`, {
            decision_id: record.entryId,
          });
    this.#records.set(error, record);
    return error;
  }

  /** Keep with an error of another class that it is a refusal. */
  keep(error: Error, of: { subject: Subject; action: string; resource: ResourceRef; rule: string; delegation: Delegation }): void {
    this.#records.set(error, auditRecord({ ...of, origin: this.origin, effect: "deny-visible" }));
  }

  /**
   * What the audit holds of the error that ended a call; undefined: it is no refusal. What is not there is one like what is hidden: who
   * looks for things is to be seen, and the two must not differ in what they cost.
   */
  recordOf(error: unknown, subject: Subject, action: string): AuditRecord | undefined {
    if (!(error instanceof Error)) return undefined;
    const known = this.#records.get(error);
    if (known !== undefined || !(error instanceof PlenumError) || error.reason !== "RESOURCE_NOT_FOUND") return known;
    const { kind = "", id = "" } = error.facts;
    return auditRecord({
      subject,
      origin: this.origin,
      action,
      resource: { kind, id, ownerAccount: "" },
      effect: "deny-hidden",
      rule: NOT_THERE,
    });
  }
}

const identity = (action: string, resource: ResourceRef): string => `${action} ${resource.kind} ${resource.id}`;

/** What may be asked of the caller. */
export class CallerSight implements Sight {
  readonly subject: Subject;
  readonly #action: string;
  readonly #refusals: Refusals;

  constructor({ subject, action, refusals }: { subject: Subject; action: string; refusals: Refusals }) {
    this.subject = subject;
    this.#action = action;
    this.#refusals = refusals;
  }

  canSee(resource: ResourceRef): boolean {
    return decide(this.subject, SEE, resource).effect === "allow";
  }

  requireSee(resource: ResourceRef): void {
    const decision = decide(this.subject, SEE, resource);
    if (decision.effect !== "allow") throw this.#refusals.refuse(this.subject, this.#action, resource, decision);
  }
}

/** What one run of a writing call collects until its end. */
export class WriteScope extends CallerSight implements WriteCall {
  readonly tx: Tx;
  readonly #now: Date | undefined;
  readonly #action: string;
  readonly #refusals: Refusals;
  readonly #allowed = new Map<string, { action: string; resource: ResourceRef; rule: string }>();
  readonly #concerned = new Map<string, ResourceRef>();
  readonly #held = new Set<string>();
  readonly #changes = new Map<string, Uint8Array[]>();
  readonly #afterCommit: ((versions: ReadonlyMap<string, bigint>) => void)[] = [];

  /** `now` undefined: nobody asked the database. */
  constructor(start: { tx: Tx; subject: Subject; now: Date | undefined; action: string; refusals: Refusals }) {
    super(start);
    this.tx = start.tx;
    this.#now = start.now;
    this.#action = start.action;
    this.#refusals = start.refusals;
  }

  get now(): Date {
    if (this.#now === undefined) throw new Error("what is nobody's call has no clock: let the statement ask now()");
    return this.#now;
  }

  may(action: string, resource: ResourceRef): Decision {
    const decision = decide(this.subject, action, resource);
    if (decision.effect === "allow") this.#allowed.set(identity(action, resource), { action, resource, rule: decision.rule });
    return decision;
  }

  require(action: string, resource: ResourceRef): void {
    const decision = this.may(action, resource);
    if (decision.effect !== "allow") throw this.#refusals.refuse(this.subject, action, resource, decision);
  }

  forbid(action: string, resource: ResourceRef, rule: string, consentId?: string): never {
    const delegation = consentId === undefined ? undefined : { consentId, grantorAccount: resource.ownerAccount };
    throw this.#refusals.refuse(this.subject, action, resource, { effect: "deny-visible", rule }, delegation);
  }

  refusedBy(consentId: string, action: string, resource: ResourceRef, error: PlenumError): PlenumError {
    const delegation = { consentId, grantorAccount: resource.ownerAccount };
    this.#refusals.keep(error, { subject: this.subject, action, resource, rule: error.reason, delegation });
    return error;
  }

  note(key: string, value: string): void {
    this.#refusals.note(key, value);
  }

  holds(consentIds: readonly string[]): void {
    for (const id of consentIds) this.#held.add(id);
  }

  concerns(resource: ResourceRef): void {
    this.#concerned.set(resource.id, resource);
  }

  change(scope: string, payload: Uint8Array): void {
    const payloads = this.#changes.get(scope);
    if (payloads === undefined) this.#changes.set(scope, [payload]);
    else payloads.push(payload);
  }

  afterCommit(fn: (versions: ReadonlyMap<string, bigint>) => void): void {
    this.#afterCommit.push(fn);
  }

  /** Consents on which what was allowed may rest, to be held until the commit (C14). `own`: those that the call has locked itself. */
  consents(): { readonly others: string[]; readonly own: string[] } {
    const used = [...this.#allowed.values()].flatMap(({ action, resource }) => this.#grantsOn(action, resource));
    const ids = [...new Set(used.flatMap((grant) => grant.consentId ?? []))].sort();
    return { others: ids.filter((id) => !this.#held.has(id)), own: ids.filter((id) => this.#held.has(id)) };
  }

  #grantsOn(action: string, { grants = [] }: ResourceRef): ResourceGrant[] {
    return grants.filter((grant) => grant.action === action && isGrantee(this.subject, grant));
  }

  /** The consent by which the caller acts where it is not in its own right; of several the one that was given first. */
  #delegation(action: string, resource: ResourceRef): Delegation | undefined {
    if (inOwnRight(this.subject, resource)) return undefined;
    const used = this.#grantsOn(action, resource).filter((grant) => actsBy(this.subject, grant));
    const [consentId] = used.flatMap((grant) => grant.consentId ?? []).sort();
    return consentId === undefined ? undefined : { consentId, grantorAccount: resource.ownerAccount };
  }

  /** Decide again what was allowed, without the consents that are not among `held`. Throws as `require`. */
  requireAgain(held: ReadonlySet<string>): void {
    for (const { action, resource } of [...this.#allowed.values()]) {
      const grants = (resource.grants ?? []).filter(({ consentId }) => consentId === undefined || held.has(consentId));
      const decision = this.may(action, { ...resource, grants });
      if (decision.effect === "allow") continue;
      throw this.#refusals.refuse(this.subject, action, resource, decision, this.#delegation(action, resource));
    }
  }

  /** What was allowed, for a repeat to be decided again. */
  allowed(): AllowedAction[] {
    return [...this.#allowed.values()].map(({ action, resource: { grants = [], ...resource } }) => ({
      action,
      resource: { ...resource, grants: grants.filter(({ consentId }) => consentId === undefined) },
    }));
  }

  /**
   * Audit: one entry per resource that the call is about; that is what was required, unless `concerns` named something else. Then the other
   * accounts of whose the call used something have an entry about that, too. `rule`: what allowed it, where nothing was required.
   */
  auditRecords(rule = ""): AuditRecord[] {
    const required = [...this.#allowed.values()].map((one) => ({ ...one, delegation: this.#delegation(one.action, one.resource) }));
    const who = { subject: this.subject, origin: this.#refusals.origin, effect: "allow" } as const;
    const concerned = [...this.#concerned.values()];
    if (concerned.length === 0) return required.map((one) => auditRecord({ ...who, ...one }));
    const made = concerned.map((resource) => {
      // What was made by a consent on something else of the same account (an interface in another's subnet) was made by that consent.
      const by = required.find((one) => one.delegation?.grantorAccount === resource.ownerAccount) ?? required[0];
      const delegation = by?.delegation?.grantorAccount === resource.ownerAccount ? by.delegation : undefined;
      return auditRecord({ ...who, action: this.#action, rule: by?.rule ?? rule, delegation, resource });
    });
    const told = new Set([this.subject.accountId, ...concerned.map((resource) => resource.ownerAccount)]);
    const used = required.filter(({ action, resource }) => action !== this.#action && !told.has(resource.ownerAccount));
    return [...made, ...used.map((one) => auditRecord({ ...who, ...one }))];
  }

  /** One payload a scope: messages of repeated items join by joining their bytes. */
  changes(): { scope: string; payload: Uint8Array }[] {
    return [...this.#changes].map(([scope, payloads]) => ({ scope, payload: Buffer.concat(payloads) }));
  }

  committed(): readonly ((versions: ReadonlyMap<string, bigint>) => void)[] {
    return this.#afterCommit;
  }
}
