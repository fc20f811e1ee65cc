/** A comment that says why a branch is not covered, or a function not measured. Lines count from 1, bounds are inclusive. */
export interface Reason {
  readonly kind: "uncovered" | "not measured";
  /** Where it stands. */
  readonly line: number;
  /** Lines that it speaks of. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const COMMENT = /(?:\/\/|\/\*|^\s*\*)\s*(uncovered|not measured):\s*(.*?)\s*(?:\*\/.*)?$/;
const ONLY_COMMENT = /^\s*(?:\/\/|\/\*|\*)/;
const END_OF_STATEMENT = /[;{}]\s*$/;

/**
 * The reasons of a source file. Behind code, a comment speaks of its own line. On a line of its own it speaks of what follows, up to the
 * first line that ends with `;`, `{` or `}`: a statement, or the head of a
 * block or function.
 */
export function reasonsIn(source: string): Reason[] {
  const lines = source.split("\n");
  const code = (index: number): string => (lines[index] ?? "").replace(/(?:\/\/|\/\*).*$/, "");
  return lines.flatMap((text, index): Reason[] => {
    const found = COMMENT.exec(text);
    if (found === null) return [];
    const reason = { kind: found[1] as Reason["kind"], line: index + 1, text: found[2] ?? "" };
    if (!ONLY_COMMENT.test(text)) return [{ ...reason, from: index + 1, to: index + 1 }];
    let from = index;
    while (
      from < lines.length - 1 &&
      code(from)
        .trim()
        .replace(/^\*.*$/, "") === ""
    )
      from++;
    let to = from;
    while (to < lines.length - 1 && !END_OF_STATEMENT.test(code(to))) to++;
    return [{ ...reason, from: from + 1, to: to + 1 }];
  });
}
