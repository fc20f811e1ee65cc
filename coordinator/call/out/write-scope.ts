import { Status } from "nice-grpc-common";
import { notFound, permissionDenied, PlenumError } from "#lib/rpc/errors.ts";
import type { Tx, WriteCall } from "../api.ts";
import { isGrantee, SEE } from "../core/decide.ts";
import type { Decision, ResourceRef } from "../core/decide.ts";
import type { Subject } from "../core/subject.ts";
import { auditRecord } from "./audit.ts";
import type { AuditRecord } from "./audit.ts";
import { decide } from "./decide.ts";
import type { AllowedAction } from "./idempotency.ts";

/** Refusals that were thrown, so that whoever catches them outside the transaction can write them down. */
export class Refusals {
  readonly #records = new WeakMap<Error, AuditRecord>();

  /** The error for a caller whose principal was disabled. */
  refuseDisabled(subject: Subject, action: string): Error {
    const error = new PlenumError({
      code: Status.UNAUTHENTICATED,
      reason: "PRINCIPAL_DISABLED",
      message: `${subject.principalId} was disabled: its tokens are worth nothing`,
      facts: { principal_id: subject.principalId },
    });
    const account: ResourceRef = { kind: "account", id: subject.accountId ?? "", ownerAccount: subject.accountId ?? "" };
    this.#records.set(error, auditRecord(subject, action, account, "deny-visible", "principal disabled"));
    return error;
  }

  /** The error for a refused decision. A hidden one looks exactly like a resource that does not exist. */
  refuse(subject: Subject, action: string, resource: ResourceRef, decision: Decision): Error {
    const record = auditRecord(subject, action, resource, decision.effect, decision.rule);
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

/** What one run of a writing call collects until its end. */
export class WriteScope implements WriteCall {
  readonly tx: Tx;
  readonly subject: Subject;
  readonly now: Date;
  readonly #action: string;
  readonly #refusals: Refusals;
  readonly #allowed = new Map<string, { action: string; resource: ResourceRef; rule: string }>();
  readonly #concerned = new Map<string, ResourceRef>();
  readonly #changes = new Map<string, Uint8Array[]>();
  readonly #afterCommit: ((versions: ReadonlyMap<string, bigint>) => void)[] = [];

  constructor(start: { tx: Tx; subject: Subject; now: Date; action: string; refusals: Refusals }) {
    this.tx = start.tx;
    this.subject = start.subject;
    this.now = start.now;
    this.#action = start.action;
    this.#refusals = start.refusals;
  }

  canSee(resource: ResourceRef): boolean {
    return decide(this.subject, SEE, resource).effect === "allow";
  }

  requireSee(resource: ResourceRef): void {
    const decision = decide(this.subject, SEE, resource);
    if (decision.effect !== "allow") throw this.#refusals.refuse(this.subject, this.#action, resource, decision);
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
    const used = [...this.#allowed.values()].flatMap(({ action, resource }) =>
      (resource.grants ?? []).filter((grant) => grant.action === action && isGrantee(this.subject, grant)),
    );
    return [...new Set(used.flatMap((grant) => grant.consentId ?? []))].sort();
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
    return [...this.#allowed.values()].map(({ action, resource: { kind, id, ownerAccount } }) => ({
      action,
      resource: { kind, id, ownerAccount },
    }));
  }

  /** Audit: one entry per resource that the call is about; that is what was required, unless `concerns` named something else. */
  auditRecords(): AuditRecord[] {
    const required = [...this.#allowed.values()];
    if (this.#concerned.size === 0) {
      return required.map(({ action, resource, rule }) => auditRecord(this.subject, action, resource, "allow", rule));
    }
    const rule = required[0]?.rule ?? "";
    return [...this.#concerned.values()].map((resource) => auditRecord(this.subject, this.#action, resource, "allow", rule));
  }

  /** One payload a scope: messages of repeated items join by joining their bytes. */
  changes(): { scope: string; payload: Uint8Array }[] {
    return [...this.#changes].map(([scope, payloads]) => ({ scope, payload: Buffer.concat(payloads) }));
  }

  committed(): readonly ((versions: ReadonlyMap<string, bigint>) => void)[] {
    return this.#afterCommit;
  }
}
