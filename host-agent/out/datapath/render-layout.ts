import type { Layout } from "./describe-layout.ts";

/** One numbered reason for a drop (D19). */
export interface DropReason {
  number: number;
  name: string;
  description: string;
}

/** Depends on the kernel headers of the machine that compiles, and is not ours. */
const FOREIGN = new Set(["__sk_buff"]);

/**
 * The reasons in drop_reasons.h, whose texts are in no object file; numbers and names are checked against the compiled enum.
 * @throws Error where the two disagree
 */
export function readDropReasons(header: string, layout: Layout): DropReason[] {
  const reasons = [...header.matchAll(/^\s*REASON\((\d+), (\w+), "([^"]+)"\)/gm)].map(([, number, name = "", description = ""]) => ({
    number: Number(number),
    name,
    description,
  }));
  const compiled = { ...layout.enums["drop_reason"] };
  delete compiled["DROP_NONE"];
  const parsed = Object.fromEntries(reasons.map((r) => [`DROP_${r.name}`, r.number]));
  if (JSON.stringify(compiled) !== JSON.stringify(parsed)) throw new Error("drop_reasons.h and the compiled enum disagree");
  if (new Set(reasons.map((r) => r.number)).size !== reasons.length) throw new Error("a drop reason's number is used twice");
  return reasons;
}

/** Content of layout.gen.ts. */
export function renderLayout(layout: Layout, reasons: readonly DropReason[]): string {
  const own = Object.fromEntries(Object.entries(layout.structs).filter(([name]) => !FOREIGN.has(name)));
  return [
    "// Generated from the compiled BPF object by host-agent/out/datapath/generate-layout.ts; never edited (D27).",
    "",
    "/** Hash over all maps and what they hold; names the pin directory. */",
    `export const SCHEMA = ${JSON.stringify(layout.schema)};`,
    "",
    "/** Sizes in bytes. */",
    constant("MAPS", layout.maps),
    "",
    "/** Sizes and offsets in bytes. */",
    constant("STRUCTS", own),
    "",
    constant("ENUMS", layout.enums),
    "",
    "/** Numbers are given once and never again (D19). */",
    constant("DROP_REASONS", reasons),
    "",
  ].join("\n");
}

/** Keys sorted, so that the order in which a compiler emits types does not show. */
function constant(name: string, value: object): string {
  return `export const ${name} = ${write(value, "")} as const;`;
}

function write(value: unknown, indent: string): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) return `[\n${value.map((v) => `${inner}${write(v, inner)},\n`).join("")}${indent}]`;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  if (entries.every(([, v]) => typeof v !== "object")) return `{ ${entries.map(([k, v]) => `${k}: ${JSON.stringify(v)}`).join(", ")} }`;
  const lines = entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${inner}${k}: ${write(v, inner)},\n`);
  return `{\n${lines.join("")}${indent}}`;
}
