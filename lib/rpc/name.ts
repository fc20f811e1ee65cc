import { invalidArgument } from "./errors.ts";
import { text } from "./validate.ts";

/**
 * What is not seen, or makes the rest be read in another order than it is written: control and format characters (bidi ones among them), line
 * separators, halves of surrogate pairs, what belongs to nobody (private use, unassigned).
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;
/** In a name also what two names could differ in without looking different: ignorable characters, blanks of other kinds than the space. */
const UNSEEN_IN_NAME = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** What is wrong with a name, with a remedy; undefined: nothing. Empty is not asked for here. */
export function nameFault(value: string): { readonly fact: string; readonly remedy: string } | undefined {
  return faultOf(value, UNSEEN_IN_NAME, value);
}

/** `bare`: what of the value is looked through. Its first and last character are the value's own. */
function faultOf(value: string, unseen: RegExp, bare: string): { readonly fact: string; readonly remedy: string } | undefined {
  const found = unseen.exec(bare);
  if (found !== null) {
    const code = (found[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    const place = [...bare.slice(0, found.index)].length + 1;
    return { fact: `has U+${code} as its character ${place}`, remedy: "use characters that are seen" };
  }
  if (/^\p{White_Space}|\p{White_Space}$/u.test(value)) return { fact: "begins or ends with white space", remedy: "leave it out" };
  return undefined;
}

function refuse(field: string, fault: { readonly fact: string; readonly remedy: string } | undefined): void {
  if (fault !== undefined) throw invalidArgument(field, fault.fact, fault.remedy);
}

interface Limits {
  readonly max?: number;
  readonly min?: number;
}

/**
 * A name for people that something is to have: `max` (default 128) characters that are seen, and the space between them. Empty is allowed
 * unless `min` says otherwise.
 */
export function displayName(value: string, field: string, limits: Limits = {}): string {
  text(value, field, { min: limits.min ?? 0, max: limits.max ?? 128 });
  refuse(field, nameFault(value));
  return value;
}

/** A text for people: up to 256 characters. Lines are ended by line feeds; what cannot be seen, or turns the order of the rest, is not taken. */
export function descriptionField(value: string, field: string): string {
  text(value, field, { min: 0, max: 256 });
  // A line feed counts as a letter here, and as white space at either end.
  refuse(field, faultOf(value, UNSEEN, value.replaceAll("\n", "x")));
  return value;
}

/** A name or id to look for: whatever was taken as one at any time, so that it can be found, and taken back. `max` default 128. */
export function soughtName(value: string, field: string, limits: Limits = {}): string {
  text(value, field, { min: limits.min ?? 0, max: limits.max ?? 128 });
  if (/\p{Cc}/u.test(value)) throw invalidArgument(field, "has a control character", "use printable characters");
  return value;
}
