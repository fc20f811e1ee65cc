import type { Tx, WriteCall } from "../../call/api.ts";
import type { Blocker } from "../core/model.ts";
import type { RulesetChange } from "./group-sets.ts";

/** Called inside the transaction that replaced rules, once for all sets; not at all when no set's rules became others. */
export type RulesetsChangedHook = (call: WriteCall, changes: readonly RulesetChange[]) => Promise<void>;

/** What keeps this resource from being deleted; called inside the deleting transaction, with the resource locked. */
export type BlockersOf = (tx: Tx, id: string) => Promise<readonly Blocker[]>;

/** How many different addresses of each subnet records name now. Subnets without any may be left out. */
export type NamedAddressCounts = (tx: Tx, subnetIds: readonly string[]) => Promise<ReadonlyMap<string, bigint>>;

export type BlockedKind = "vpc" | "subnet" | "security_group";

/** What later modules tell network, which must not import them. Registered while main.ts wires, asked while calls run. */
export class Hooks {
  readonly #rulesetsChanged: RulesetsChangedHook[] = [];
  readonly #blockers: { kind: BlockedKind; blockersOf: BlockersOf }[] = [];
  #named: NamedAddressCounts = () => Promise.resolve(new Map());

  onRulesetsChanged(hook: RulesetsChangedHook): void {
    this.#rulesetsChanged.push(hook);
  }

  registerBlockers(kind: BlockedKind, blockersOf: BlockersOf): void {
    this.#blockers.push({ kind, blockersOf });
  }

  countNamedAddresses(counts: NamedAddressCounts): void {
    this.#named = counts;
  }

  async rulesetsChanged(call: WriteCall, changes: readonly RulesetChange[]): Promise<void> {
    if (changes.length === 0) return;
    for (const hook of this.#rulesetsChanged) await hook(call, changes);
  }

  async blockersOf(tx: Tx, kind: BlockedKind, id: string): Promise<Blocker[]> {
    const found: Blocker[] = [];
    for (const one of this.#blockers) if (one.kind === kind) found.push(...(await one.blockersOf(tx, id)));
    return found;
  }

  namedAddresses(tx: Tx, subnetIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
    return subnetIds.length === 0 ? Promise.resolve(new Map()) : this.#named(tx, subnetIds);
  }
}
