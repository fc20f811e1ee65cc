import { barredError } from "#lib/rpc/barred.ts";
import type { Barred } from "#lib/rpc/barred.ts";
import { notFound, permissionDenied } from "#lib/rpc/errors.ts";
import type { Sight, Tx, WriteCall } from "../api.ts";
import { actsBy, isGrantee, SEE } from "../core/decide.ts";
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
};

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
    const error = barredError(why, { principalId, accountId });
    const resource: ResourceRef = { kind: "account", id: accountId, ownerAccount: accountId };
    const { origin } = this;
    this.#records.set(error, auditRecord({ subject, origin, action, resource, effect: "deny-visible", rule: BARRED_RULE[why] }));
    return error;
  }

  /** The error for a refused decision. A hidden one looks exactly like a resource that does not exist. */
  refuse(subject: Subject, action: string, resource: ResourceRef, decision: Decision): Error {
    const record = auditRecord({ subject, origin: this.origin, action, resource, ...decision });
    const error =
      decision.effect === "deny-hidden"
        ? notFound(resource.kind, resource.id)
        : permissionDenied(action, `you are not allowed to ${action} (${decision.rule}; decision ${record.entryId})`, {
            decision_id: record.entryId,
          });
    this.#records.set(error, record);
    return error;
  }

  recordOf(error: unknown): AuditRecord | undefined {
    return error instanceof Error ? this.#records.get(error) : undefined;
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

  forbid(action: string, resource: ResourceRef, rule: string): never {
    throw this.#refusals.refuse(this.subject, action, resource, { effect: "deny-visible", rule });
  }

  note(key: string, value: string): void {
    this.#refusals.note(key, value);
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

  /** Consents on which what was allowed may rest: to be held until the commit (C14). */
  consents(): string[] {
    const used = [...this.#allowed.values()].flatMap(({ action, resource }) => this.#grantsOn(action, resource));
    return [...new Set(used.flatMap((grant) => grant.consentId ?? []))].sort();
  }

  #grantsOn(action: string, { grants = [] }: ResourceRef): ResourceGrant[] {
    return grants.filter((grant) => grant.action === action && isGrantee(this.subject, grant));
  }

  /** The consent by which an action on another account's resource was allowed; of several the one that was given first. */
  #delegation(action: string, resource: ResourceRef): Delegation | undefined {
    if (this.subject.kind === "operator" || resource.ownerAccount === this.subject.accountId) return undefined;
    const used = this.#grantsOn(action, resource).filter((grant) => actsBy(this.subject, grant));
    const [consentId] = used.flatMap((grant) => grant.consentId ?? []).sort();
    return consentId === undefined ? undefined : { consentId, grantorAccount: resource.ownerAccount };
  }

  /** Decide again what was allowed, without the consents that are not among `held`. Throws as `require`. */
  requireAgain(held: ReadonlySet<string>): void {
    for (const { action, resource } of [...this.#allowed.values()]) {
      const grants = (resource.grants ?? []).filter(({ consentId }) => consentId === undefined || held.has(consentId));
      this.require(action, { ...resource, grants });
    }
  }

  /** What was allowed, for a repeat to be decided again. */
  allowed(): AllowedAction[] {
    return [...this.#allowed.values()].map(({ action, resource: { grants = [], ...resource } }) => ({
      action,
      resource: { ...resource, grants: grants.filter(({ consentId }) => consentId === undefined) },
    }));
  }

  /** Audit: one entry per resource that the call is about; that is what was required, unless `concerns` named something else. */
  auditRecords(): AuditRecord[] {
    const required = [...this.#allowed.values()].map((one) => ({ ...one, delegation: this.#delegation(one.action, one.resource) }));
    const who = { subject: this.subject, origin: this.#refusals.origin, effect: "allow" } as const;
    if (this.#concerned.size === 0) return required.map((one) => auditRecord({ ...who, ...one }));
    // What was made by a consent on something else (an interface in another's subnet) was made by that consent.
    const delegation = required.find((one) => one.delegation !== undefined)?.delegation;
    const made = { ...who, action: this.#action, rule: required[0]?.rule ?? "", delegation };
    return [...this.#concerned.values()].map((resource) => auditRecord({ ...made, resource }));
  }

  /** One payload a scope: messages of repeated items join by joining their bytes. */
  changes(): { scope: string; payload: Uint8Array }[] {
    return [...this.#changes].map(([scope, payloads]) => ({ scope, payload: Buffer.concat(payloads) }));
  }

  committed(): readonly ((versions: ReadonlyMap<string, bigint>) => void)[] {
    return this.#afterCommit;
  }
}
