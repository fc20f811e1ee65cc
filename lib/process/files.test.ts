import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testDirectory } from "../db/testing.ts";
import { unprivilegedAccount } from "./account.ts";
import { findExecutable } from "./child.ts";
import { replaceFile, writeFileOnce } from "./files.ts";

let directory: string;
beforeEach(async () => {
  directory = await testDirectory("files");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("files", () => {
  it("are written once: of many writers one wins, whole, and nothing else is left", async () => {
    const path = join(directory, "key");
    const texts = Array.from({ length: 10 }, (_, index) => String(index).repeat(10_000));
    const won = await Promise.all(texts.map((text) => writeFileOnce(path, text, 0o600)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await readFile(path, "utf8")).toBe(texts[won.indexOf(true)]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(["key"]);
  });

  it("are replaced whole, and left alone by what fails", async () => {
    const path = join(directory, "config");
    await replaceFile(path, "old", 0o600);
    await replaceFile(path, "new", 0o640);
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    await expect(replaceFile(join(directory, "no", "such"), "x", 0o600)).rejects.toThrow(/ENOENT/);
    await expect(writeFileOnce(join(directory, "no", "such"), "x", 0o600)).rejects.toThrow(/ENOENT/);
  });
});

describe("the unprivileged account", () => {
  const from = async (text: string) => {
    const file = join(directory, "passwd");
    await writeFile(file, text);
    return unprivilegedAccount(file);
  };
  it("is postgres, else nobody, never root by another name, and an error where there is none", async () => {
    expect(await from("nobody:x:65534:65534::/:/bin/false\npostgres:x:101:102::/:/bin/sh\n")).toEqual({
      name: "postgres",
      uid: 101,
      gid: 102,
    });
    expect(await from("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")).toMatchObject({ name: "nobody" });
    await expect(from("postgres:x:0:0::/:/bin/sh\n")).rejects.toThrow(/unprivileged/);
  });
});

it("finds a program, and says so when there is none", () => {
  expect(findExecutable("sh")).toMatch(/\/sh$/);
  expect(findExecutable("plenum-no-such-program")).toBeUndefined();
});
