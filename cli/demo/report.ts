/** One claim of the demo: what should hold, what was measured, and the same thing where it must not hold. */
export interface Claim {
  title: string;
  measured: string;
  holds: boolean;
  /** The negative control: what makes the measurement mean something. */
  control: string;
  controlHolds: boolean;
}

/** Prints progress and claims as they come, and knows whether all held. */
export class Report {
  readonly #write: (text: string) => void;
  readonly #start = performance.now();
  #failed = 0;
  #count = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  get failed(): number {
    return this.#failed;
  }

  get count(): number {
    return this.#count;
  }

  seconds(): string {
    return ((performance.now() - this.#start) / 1_000).toFixed(1);
  }

  progress(line: string): void {
    this.#write(`[${this.seconds().padStart(5)} s] ${line}\n`);
  }

  claim(claim: Claim): void {
    this.#count += 1;
    const ok = claim.holds && claim.controlHolds;
    if (!ok) this.#failed += 1;
    const mark = (holds: boolean): string => (holds ? "ok  " : "FAIL");
    this.#write(`\n  ${ok ? "✔" : "✘"} ${this.#count}. ${claim.title}\n`);
    this.#write(`      ${mark(claim.holds)} measured: ${claim.measured}\n`);
    this.#write(`      ${mark(claim.controlHolds)} control:  ${claim.control}\n`);
  }
}
