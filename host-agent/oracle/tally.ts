import type { Decision } from "#lib/model/index.ts";

/** How often packets met which fate. */
export class Tally {
  readonly #fates = new Map<string, number>();
  #packets = 0;
  #passed = 0;

  add(decision: Decision): void {
    const fate = "reason" in decision ? decision.reason : decision.verdict;
    this.#fates.set(fate, (this.#fates.get(fate) ?? 0) + 1);
    this.#packets++;
    if (decision.verdict === "deliver" || decision.verdict === "tunnel") this.#passed++;
  }

  get packets(): number {
    return this.#packets;
  }

  /** 0..1; answers to ARP are not counted as passed. */
  get sharePassed(): number {
    return this.#passed / this.#packets;
  }

  hits(fate: string): number {
    return this.#fates.get(fate) ?? 0;
  }

  text(): string {
    const fates = [...this.#fates].toSorted(([, a], [, b]) => b - a).map(([fate, n]) => `${fate} ${n}`);
    return `${this.#packets} pairs, ${(this.sharePassed * 100).toFixed(1)} % passed: ${fates.join(", ")}`;
  }
}
