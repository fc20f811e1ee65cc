import { ADDRESS_WORDS, isIPv4, wordsOfText } from "./address-words.ts";

const FIRST = 64;

/**
 * Hosts by number, so that a mapping names its host in one word. A number is never given back: what is kept is some hundred octets a
 * substrate address, of all that were named while the agent runs.
 */
export class HostNumbers {
  readonly #byText = new Map<string, number>();
  /** IPv4 addresses by their last word, others by all of them: the first are asked for a million times. */
  readonly #byWords = new Map<number | string, number>();
  readonly #scratch = new Uint32Array(ADDRESS_WORDS);
  #words = new Uint32Array(FIRST * ADDRESS_WORDS);

  /** All addresses, four words each, by number. */
  get words(): Uint32Array {
    return this.#words;
  }

  /** Throws RangeError when the text is no address. */
  numberOf(text: string): number {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    wordsOfText(text, this.#scratch);
    const number = this.numberOfWords(this.#scratch);
    this.#byText.set(text, number);
    return number;
  }

  numberOfWords(words: Uint32Array): number {
    const name = isIPv4(words) ? words[ADDRESS_WORDS - 1]! : words.join();
    const known = this.#byWords.get(name);
    if (known !== undefined) return known;
    const number = this.#byWords.size;
    if ((number + 1) * ADDRESS_WORDS > this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.set(words, number * ADDRESS_WORDS);
    this.#byWords.set(name, number);
    return number;
  }
}
