import type { Tx, WriteCall } from "../../call/api.ts";
import { allBlockers } from "../core/blockers.ts";
import type { Blockers } from "../core/model.ts";
import type { PeerChange } from "./peer-sets.ts";
import type { RulesetChange } from "./renew-rulesets.ts";

/** Called inside the transaction that replaced rules, once for all sets; not at all when no set's rules became others. */
export type RulesetsChangedHook = (call: WriteCall, changes: readonly RulesetChange[]) => Promise<void>;

/** Called inside the transaction that made or forgot sets, once for all groups that rules name; not at all when there are none. */
export type PeersChangedHook = (call: WriteCall, changes: readonly PeerChange[]) => Promise<void>;

/** What keeps this resource from being deleted; called inside the deleting transaction, with the resource locked. */
export type BlockersOf = (tx: Tx, id: string) => Promise<Blockers>;

/** How many different addresses of each subnet records name now. Subnets without any may be left out. */
export type NamedAddressCounts = (tx: Tx, subnetIds: readonly string[]) => Promise<ReadonlyMap<string, bigint>>;

/** How far hosts are with the attachments of one group set. */
export interface Enforcement {
  /** Attachments on a host. */
  readonly carried: number;
  /** Those among them of which their host has not said that it goes by what was asked for last. */
  readonly behind: number;
  /** When one of them last became different. */
  readonly since: Date;
}

/** Who knows how far hosts are. */
export interface Enforcers {
  /** Sets that no attachment on a host carries may be left out. */
  of(tx: Tx, groupSetIds: readonly number[]): Promise<ReadonlyMap<number, Enforcement>>;
  /** Until the hosts go by what these sets mean now, the time is over, or nobody awaited could say anything. Changes nothing. */
  wait(groupSetIds: readonly number[], timeoutMs: number, signal: AbortSignal): Promise<void>;
}

export type BlockedKind = "vpc" | "subnet" | "security_group";

/** What later modules tell network, which must not import them. Registered while main.ts wires, asked while calls run. */
export class Hooks {
  readonly #rulesetsChanged: RulesetsChangedHook[] = [];
  readonly #peersChanged: PeersChangedHook[] = [];
  readonly #blockers: { kind: BlockedKind; blockersOf: BlockersOf }[] = [];
  #named: NamedAddressCounts = () => Promise.resolve(new Map());
  #enforcers: Enforcers = { of: () => Promise.resolve(new Map()), wait: () => Promise.resolve() };

  onRulesetsChanged(hook: RulesetsChangedHook): void {
    this.#rulesetsChanged.push(hook);
  }

  onPeersChanged(hook: PeersChangedHook): void {
    this.#peersChanged.push(hook);
  }

  registerBlockers(kind: BlockedKind, blockersOf: BlockersOf): void {
    this.#blockers.push({ kind, blockersOf });
  }

  countNamedAddresses(counts: NamedAddressCounts): void {
    this.#named = counts;
  }

  enforceBy(enforcers: Enforcers): void {
    this.#enforcers = enforcers;
  }

  get enforcers(): Enforcers {
    return this.#enforcers;
  }

  async rulesetsChanged(call: WriteCall, changes: readonly RulesetChange[]): Promise<void> {
    if (changes.length === 0) return;
    for (const hook of this.#rulesetsChanged) await hook(call, changes);
  }

  async peersChanged(call: WriteCall, changes: readonly PeerChange[]): Promise<void> {
    if (changes.length === 0) return;
    for (const hook of this.#peersChanged) await hook(call, changes);
  }

  async blockersOf(tx: Tx, kind: BlockedKind, id: string): Promise<Blockers> {
    const found: Blockers[] = [];
    for (const one of this.#blockers) if (one.kind === kind) found.push(await one.blockersOf(tx, id));
    return allBlockers(found);
  }

  namedAddresses(tx: Tx, subnetIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
    return subnetIds.length === 0 ? Promise.resolve(new Map()) : this.#named(tx, subnetIds);
  }
}
