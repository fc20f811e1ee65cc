/** One block of commands of a guide, and what the guide says that they print. */
export interface GuideBlock {
  commands: string;
  /** Lines of the `output` block that follows; none: nothing is claimed. */
  claims: string[];
  /** Line of the guide at which the commands begin. */
  line: number;
}

/** The `sh` blocks of a page in their order, each with the `output` block that follows it before the next one. */
export function guideBlocks(page: string): GuideBlock[] {
  const blocks: GuideBlock[] = [];
  for (const match of page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    const [, kind, text = ""] = match;
    if (kind === "sh") blocks.push({ commands: text, claims: [], line: page.slice(0, match.index).split("\n").length + 1 });
    else if (kind === "output") {
      const last = blocks.at(-1);
      if (last === undefined) throw new Error("an output block has no commands before it");
      last.claims = text.split("\n").filter((line) => line.trim() !== "");
    } else if (kind !== "text") throw new Error(`a block of kind ${JSON.stringify(kind)}: guides have sh, output and text`);
  }
  return blocks;
}

const squeeze = (line: string): string => line.trim().replace(/\s+/g, " ");

/** "eni-…  AVAILABLE" → a pattern: `…` is anything, how much space is between words does not matter. */
function pattern(claim: string): RegExp {
  const literal = squeeze(claim)
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(literal.join(".*").replace(/ \.\*$/, "( .*)?"));
}

/** The first claim that no line of the output holds, after the line that held the claim before it; undefined: all hold. */
export function brokenClaim(claims: readonly string[], output: string): string | undefined {
  const lines = output.split("\n").map(squeeze);
  let from = 0;
  for (const claim of claims) {
    const found = lines.slice(from).findIndex((line) => pattern(claim).test(line));
    if (found === -1) return claim;
    from += found + 1;
  }
  return undefined;
}
