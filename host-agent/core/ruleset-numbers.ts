import { createHash } from "node:crypto";
import { lasting } from "./peer-groups.ts";
import type { Rule } from "./ports.ts";

/** Marks numbers of our own: the feed counts from 1. */
const OWN = 0x8000_0000;
/** Rulesets that are remembered at most: those told last. */
const MOST = 100_000;

interface Told {
  readonly digest: string;
  readonly number: number;
}

/**
 * By which number the kernel is to know a ruleset. A number stands for the same rules for ever (D5), also for connections that were allowed
 * by it long ago. The feed's own does, but for a database that was set back, which gives numbers out again: from the second rules that
 * are told under one, they get a number that follows from them.
 */
export class RulesetNumbers {
  /** By the feed's number, in the order of telling. */
  readonly #told = new Map<number, Told>();
  readonly #most: number;

  constructor(most = MOST) {
    this.#most = most;
  }

  /** The number of these rules, which the feed tells under `id`. `isFound`: the kernel held it when this agent began. */
  tell(id: number, rules: readonly Rule[], isFound: (number: number) => boolean): number {
    const digest = digestOf(id, rules);
    const before = this.#told.get(id);
    const own = ownNumber(digest);
    const isSame = before?.digest === digest;
    const number = isSame ? before.number : before !== undefined || isFound(own) ? own : id;
    this.#told.delete(id);
    this.#told.set(id, { digest, number });
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= this.#most) break;
      this.#told.delete(oldest);
    }
    return number;
  }

  /** Another number for what was told last under `id`: the one that it has stands for other rules in the kernel, or for another's. */
  another(id: number): number {
    const told = this.#told.get(id);
    if (told === undefined) throw new Error(`ruleset ${id} was not told`);
    const number = told.number < OWN ? ownNumber(told.digest) : ((told.number + 1) | OWN) >>> 0;
    this.#told.set(id, { ...told, number });
    return number;
  }
}

/** Rules under the feed's number: the same rules under two numbers are two rulesets, whose numbers must differ. */
function digestOf(id: number, rules: readonly Rule[]): string {
  return createHash("sha256")
    .update(JSON.stringify([id, rules.map(lasting)]))
    .digest("hex");
}

function ownNumber(digest: string): number {
  return (Number.parseInt(digest.slice(0, 8), 16) | OWN) >>> 0;
}
