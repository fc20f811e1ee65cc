/** What a host's own words about a failure come to, first match wins. */
const CLASSES: readonly { readonly words: RegExp; readonly text: string }[] = [
  { words: /^its process waits for /, text: "its process waits for an interface of it that fails: see that attachment's conditions" },
  {
    words: /\b(ENOSPC|ENOMEM|EMFILE|ENFILE|EDQUOT)\b|no space|cannot allocate|at most \d/i,
    text: "the host has no room for it: stop the instance and start it again elsewhere",
  },
  {
    words: /--api-endpoint/,
    text: "its host has no way to the API for what acts as a principal: an operator gives it one, or let the instance act as nobody",
  },
  {
    words: /is being removed|are being ended|do not end|belongs to|is still to be/,
    text: "something that was there before it still ends: wait a little",
  },
];

const OTHER = "its kernel or a tool of it refused: ask an operator, who reads its words";

/**
 * Kind of a host's failure and what to do about it, for who may not look into the host. Its own words are for operators: they name paths, processes and devices
 * of the machine, and of others on it.
 */
export function failureClass(words: string): string {
  return CLASSES.find((one) => one.words.test(words))?.text ?? OTHER;
}

/** The same words as this viewer may have them. */
export function failureSeenBy(viewer: { readonly kind: string }, words: string): string {
  return viewer.kind === "operator" ? words : failureClass(words);
}
