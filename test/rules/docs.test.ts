import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryFiles, root, textOf } from "./repository.ts";

// Docs that lie are worse than none: links must lead somewhere, named files must exist, named commands must be run by a test.

const pages = repositoryFiles("*.md");
const scripts = Object.keys((JSON.parse(textOf("package.json")) as { scripts: Record<string, string> }).scripts);

describe("documents", () => {
  it("link only to what exists", () => {
    const broken = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((m) => m[1]!)
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter((link) => !existsSync(join(root, normalize(join(dirname(page), link)))))
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it("name only files that exist", () => {
    // In backquotes, from the root of the repository or from where the page is; "…", "<name>" and "*" are no names. What a page
    // specifies before it is written is marked: `lib/x` (to come).
    const top = new Set(repositoryFiles().map((file) => file.split("/")[0]!));
    const wrong = pages.flatMap((page) =>
      [...textOf(page).matchAll(/`([\w.-]+\/[\w./-]*)`(?! \(to come\))/g)]
        .map((m) => m[1]!)
        .filter((name) => top.has(name.split("/")[0]!) && !existsSync(join(root, name)) && !existsSync(join(root, dirname(page), name)))
        .map((name) => `${page}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it("show the way of a field of Interface as it is", () => {
    // CONTRIBUTING leads along source_dest_check: every file of its table must have a line of it, and no source that has one may be missing.
    const named = [...textOf("CONTRIBUTING.md").matchAll(/^\|.*\| `([^` ]+\.(?:proto|ts|h))` +\|$/gm)].map((m) => m[1]!);
    expect(named.length).toBeGreaterThan(15);
    const has = (file: string): boolean => /source_?dest_?check/i.test(textOf(file));
    expect(named.filter((file) => !has(file))).toEqual([]);
    // The model of a packet's fate and the oracle around it are the text's next sentence: not a file each, but the whole of it.
    const sources = repositoryFiles("*.ts", "*.proto", "*.h").filter(
      (file) => !/^(gen|bench|host-agent\/oracle|lib\/model)\/|\.gen\.ts$|\.test\.ts$|(^|\/)test(ing)?\//.test(file),
    );
    expect(sources.filter((file) => has(file) && !named.includes(file))).toEqual([]);
  });

  it("name only npm scripts that exist", () => {
    const wrong = pages.flatMap((page) =>
      [...textOf(page).matchAll(/npm run ([a-z:-]+)/g)].filter((m) => !scripts.includes(m[1]!)).map((m) => `${page}: npm run ${m[1]}`),
    );
    expect(wrong).toEqual([]);
  });

  it("keep shell commands where a test runs them", () => {
    // Blocks marked `sh` in docs/guides are executed by test/scenario/guides.test.ts; elsewhere only the npm scripts, which CI runs, may stand.
    const wrong = pages
      .filter((page) => !page.startsWith("docs/guides/"))
      .flatMap((page) =>
        [...textOf(page).matchAll(/```sh\n([\s\S]*?)```/g)]
          .flatMap((m) => m[1]!.split("\n"))
          .map((line) => line.replace(/\s+#.*$/, "").trim())
          .filter((line) => line !== "" && !/^npm (test|run [a-z]+)$/.test(line) && !/^(git clone|cd) /.test(line))
          .map((line) => `${page}: ${line}`),
      );
    expect(wrong).toEqual([]);
  });

  it("say what each number means that the source names", () => {
    const meant = new Set([...textOf("docs/design/numbers.md").matchAll(/\*\*([A-Z]\d+)\*\*/g)].map((m) => m[1]!));
    expect(meant.size).toBeGreaterThan(60);
    const files = repositoryFiles("*.ts", "*.h", "*.c", "*.proto", "*.md").filter((file) => !/^(gen|proto\/vendor)\//.test(file));
    const named = files.flatMap((file) => [...textOf(file).matchAll(/\b[BCDMN]\d{1,2}\b/g)].map((m) => ({ file, number: m[0] })));
    expect(named.length).toBeGreaterThan(500);
    expect(named.filter(({ number }) => !meant.has(number)).map(({ file, number }) => `${file}: ${number}`)).toEqual([]);
    expect([...meant].filter((number) => named.filter((one) => one.number === number).length < 2)).toEqual([]);
  });

  it("give every service the four headings", () => {
    for (const service of ["coordinator", "mapping-service", "host-agent"]) {
      for (const heading of ["## Owns", "## Reads", "## Writes", "## If it stops"]) {
        expect(textOf(`${service}/README.md`), `${service}/README.md`).toContain(heading);
      }
    }
  });
});
