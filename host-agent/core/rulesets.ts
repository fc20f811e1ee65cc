import type { Attempts } from "./attempts.ts";
import { samePeers } from "./peer-groups.ts";
import type { Datapath, Ruleset } from "./ports.ts";
import { RulesetNumbers } from "./ruleset-numbers.ts";
import { DeltaTracker } from "./tracker.ts";

/** `id` of the ruleset is the kernel's number; `told` is the feed's. */
interface Numbered {
  readonly told: number;
  readonly ruleset: Ruleset;
}

/** Rulesets in the kernel. Whoever names one does it by the feed's number; which the kernel's is, is known here. */
export class Rulesets {
  /** By the kernel's number. The same number is the same rules: only the sets of the groups that they name may differ. */
  readonly tracker = new DeltaTracker<number, Numbered, Ruleset>((wanted, held) => samePeers(wanted.ruleset, held));
  readonly #numbers = new RulesetNumbers();
  /** The kernel's number, by the feed's, of all that are wanted. */
  readonly #wanted = new Map<number, number>();
  /** Those that no kernel will ever hold (the feed's number), with the reason. */
  readonly #impossible = new Map<number, string>();
  /** The kernel's numbers of those that are surely there, though perhaps not with all sets of their groups. */
  readonly #there = new Set<number>();
  /** What a predecessor left. */
  #found: ReadonlySet<number> = new Set();
  readonly #datapath: Datapath;
  readonly #attempts: Attempts;
  readonly #changed: (told: number) => void;

  /** `changed`: the kernel's number of it, or whether it can be at all, is another. */
  constructor(datapath: Datapath, attempts: Attempts, changed: (told: number) => void) {
    this.#datapath = datapath;
    this.#attempts = attempts;
    this.#changed = changed;
  }

  /** Their rules are not known: what is wanted by such a number is compared before it is believed. */
  adopt(numbers: readonly number[]): void {
    this.#found = new Set(numbers);
    for (const number of numbers) this.tracker.doubt(number, { id: number, rules: [] });
  }

  /** As the feed tells it. */
  want(ruleset: Ruleset): void {
    const told = ruleset.id;
    const before = this.#wanted.get(told);
    let number = this.#numbers.tell(told, ruleset.rules, (found) => this.#found.has(found));
    while ((this.tracker.wanted(number)?.told ?? told) !== told) number = this.#numbers.another(told);
    if (before !== undefined && before !== number) this.tracker.unwant(before);
    this.#wantAs(number, { told, ruleset });
    if (this.#impossible.delete(told) || (before ?? told) !== number) this.#changed(told);
  }

  unwant(told: number): void {
    const number = this.#wanted.get(told);
    if (number === undefined) return;
    this.tracker.unwant(number);
    this.#wanted.delete(told);
    if (this.#impossible.delete(told) || number !== told) this.#changed(told);
  }

  #wantAs(number: number, { told, ruleset }: Numbered): void {
    this.#wanted.set(told, number);
    this.tracker.want(number, { told, ruleset: { ...ruleset, id: number } });
    this.#attempts.forget(keyOf(number));
  }

  /** The kernel's number. Of one that is not in the feed: the feed's. */
  numberOf(told: number): number {
    return this.#wanted.get(told) ?? told;
  }

  /** Whether the kernel judges by it. Sets that find no room are not let in, which keeps nothing else from being as wanted. */
  isThere(number: number): boolean {
    return this.#there.has(number);
  }

  canBe(told: number): boolean {
    return !this.#impossible.has(told);
  }

  /** True: some of them turned out to be impossible. */
  put(): boolean {
    const before = this.#impossible.size;
    for (const [, wanted] of this.tracker.pendingPuts()) if (this.canBe(wanted.told)) this.#put(wanted);
    return this.#impossible.size > before;
  }

  #put(wanted: Numbered): void {
    const { told, ruleset } = wanted;
    const { id } = ruleset;
    const ran = this.#attempts.run(keyOf(id), () => {
      if (!this.#bring(told, ruleset)) return this.#move(wanted);
      this.#there.add(id);
      this.tracker.present(id, ruleset);
    });
    const moved = this.tracker.wanted(this.numberOf(told));
    if (ran && moved !== undefined && moved.ruleset.id !== id) this.#put(moved);
  }

  /** False: the kernel has other rules by that number. */
  #bring(told: number, ruleset: Ruleset): boolean {
    const isDoubtful = this.tracker.possible(ruleset.id) !== undefined && this.tracker.actual(ruleset.id) === undefined;
    this.tracker.doubt(ruleset.id, ruleset);
    try {
      const found = isDoubtful ? this.#datapath.compareRuleset(ruleset) : undefined;
      if (found === "same") this.#there.add(ruleset.id);
      else if (found !== undefined) this.#there.delete(ruleset.id);
      if (found === "other") return false;
      this.#datapath.putRuleset(ruleset);
      return true;
    } catch (error) {
      if (error instanceof RangeError) {
        this.#impossible.set(told, `ruleset ${told}: ${error.message}`); // it was tried, and is not tried again
        this.#changed(told);
      }
      throw error;
    }
  }

  /** To a number that is free: by this one, somebody may be judged still. */
  #move(wanted: Numbered): void {
    const { told, ruleset } = wanted;
    this.tracker.unwant(ruleset.id);
    let number = this.#numbers.another(told);
    while (this.tracker.wanted(number) !== undefined) number = this.#numbers.another(told);
    this.#wantAs(number, wanted);
    this.#changed(told);
  }

  /** Those that are not wanted and that nobody names: `used` gives the kernel's numbers. */
  delete(used: () => ReadonlySet<number>): void {
    const pending = this.tracker.pendingDeletes();
    if (pending.length === 0) return;
    const named = used();
    for (const [number, ruleset] of pending) {
      if (named.has(number)) continue;
      this.#attempts.run(keyOf(number), () => {
        this.tracker.doubt(number, ruleset);
        this.#there.delete(number);
        this.#datapath.deleteRuleset(number);
        this.tracker.absent(number);
      });
    }
  }

  /** Why it is not there, if something failed or it is missing in the feed. */
  failure(told: number): string | undefined {
    const number = this.numberOf(told);
    if (!this.#wanted.has(told) && this.tracker.actual(number) === undefined) return `ruleset ${told} is not in the feed`;
    return this.#impossible.get(told) ?? this.#attempts.message(keyOf(number));
  }
}

const keyOf = (number: number): string => `ruleset ${number}`;
