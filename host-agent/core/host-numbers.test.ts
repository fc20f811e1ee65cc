import { expect, test } from "vitest";
import { ADDRESS_WORDS, textOfWords } from "./address-words.ts";
import { HostNumbers } from "./host-numbers.ts";

test("a host has one number for ever, however it is written, and its address comes back", () => {
  const hosts = new HostNumbers();
  const texts = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? `198.18.0.${i}` : `fd00::${i + 16}`));
  const numbers = texts.map((text) => hosts.numberOf(text));
  expect(new Set(numbers).size).toBe(200);
  for (const [i, text] of texts.entries()) {
    const number = numbers[i]!;
    const words = hosts.words.slice(number * ADDRESS_WORDS, (number + 1) * ADDRESS_WORDS);
    expect(textOfWords(words).address).toBe(text);
    expect([hosts.numberOf(text), hosts.numberOf(text.toUpperCase()), hosts.numberOfWords(words)]).toEqual([number, number, number]);
  }
});

test("what is no address is refused", () => {
  expect(() => new HostNumbers().numberOf("h1")).toThrow(RangeError);
});
