import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Root of the checkout. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Files that git tracks or would track, relative to the root, in a stable order. */
export function repositoryFiles(...patterns: string[]): string[] {
  const out = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...patterns], {
    cwd: root,
    encoding: "utf8",
  });
  return [...new Set(out.split("\n").filter(Boolean))].sort();
}

/** Text of a file of the repository. */
export function textOf(path: string): string {
  return readFileSync(root + path, "utf8");
}

/** Whether a file was made by a program and is never edited. */
export function isGenerated(path: string): boolean {
  return path.startsWith("gen/") || path.endsWith(".gen.ts");
}

/** Module specifiers that a TypeScript file imports, statically or not. */
export function importsOf(path: string): string[] {
  const source = textOf(path);
  const found = source.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)import\s*["']([^"']+)["']/g,
  );
  return [...found].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
}
