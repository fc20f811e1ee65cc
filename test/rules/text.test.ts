import { homedir } from "node:os";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { isGenerated, repositoryFiles, root, textOf } from "./repository.ts";

// Nothing of one machine, and nothing unfinished, gets into the repository.

const files = repositoryFiles().filter((f) => !isGenerated(f) && !/\.(binpb|png|o)$/.test(f) && f !== "test/rules/text.test.ts");

function linesWith(pattern: RegExp, among = files): string[] {
  return among.flatMap((f) =>
    textOf(f)
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`${f}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}

describe("texts", () => {
  it("name no path of the machine they were written on", () => {
    const home = homedir().replaceAll("/", "\\/");
    const parent = dirname(root.replace(/\/$/, "")).replaceAll("/", "\\/");
    const places = [home, parent].filter(
      (p) => !/^(\\\/)?(tmp|root|var)?$/.test(p.replaceAll("\\/", "/").replace(/^\//, "")) && p.length > 4,
    );
    for (const place of places) expect(linesWith(new RegExp(`${place}\\/`))).toEqual([]);
  });

  it("name no package registry and lock no address of one", () => {
    expect(linesWith(/https?:\/\/[^ "]*(registry|mirror|\/debian)/)).toEqual([]);
    expect(linesWith(/"resolved":/, ["package-lock.json"])).toEqual([]);
  });

  it("leave nothing unfinished or skipped", () => {
    const code = files.filter((f) => /\.(ts|c|h|sh|mjs)$/.test(f));
    expect(linesWith(/\b(TODO|FIXME|XXX)\b|\b(it|describe|test)\.(skip|only|todo)\(|@ts-ignore|\bas any\b/, code)).toEqual([]);
  });
});
