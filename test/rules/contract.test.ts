import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "./repository.ts";

// The contract is the first thing that anybody reads, and generated code is only as good as it is fresh.

const bin = join(root, "node_modules/.bin");
const buf = (...args: string[]) =>
  execFileSync(join(bin, "buf"), args, { cwd: root, encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` } });

interface Location {
  path?: number[];
  leadingComments?: string;
}
interface MethodDescriptor {
  name: string;
  options?: Record<string, unknown>;
}
interface FileDescriptor {
  name: string;
  package: string;
  messageType?: { name: string; field?: { name: string }[]; nestedType?: unknown[]; options?: { mapEntry?: boolean } }[];
  enumType?: { name: string; value: { name: string }[] }[];
  service?: { name: string; method?: MethodDescriptor[] }[];
  sourceCodeInfo?: { location?: Location[] };
}

let files: FileDescriptor[] = [];
let fresh = "";

beforeAll(() => {
  fresh = mkdtempSync(join(tmpdir(), "plenum-gen-"));
  const image = JSON.parse(buf("build", "--as-file-descriptor-set", "-o", "-#format=json")) as { file: FileDescriptor[] };
  files = image.file.filter((f) => f.package.startsWith("plenum."));
  buf("generate", "-o", fresh);
}, 120_000);
afterAll(() => rmSync(fresh, { recursive: true, force: true }));

describe("the contract", () => {
  it("has the areas", () => {
    expect(files.flatMap((f) => f.service ?? []).length).toBeGreaterThanOrEqual(12);
  });

  it("passes lint", () => {
    expect(buf("lint")).toBe("");
  });

  it("breaks nothing against the baseline", () => {
    // On images, since our two modules make two inputs of the directory; "has a fresh image" below ties the image to the protos.
    const config = JSON.stringify({ version: "v2", breaking: { use: ["WIRE_JSON"] } });
    expect(buf("breaking", "gen/plenum.binpb", "--against", "proto/baseline.binpb", "--config", config)).toBe("");
  });

  it("names an authorisation action on every RPC", () => {
    const actions = files.flatMap((f) =>
      (f.service ?? []).flatMap((s) =>
        (s.method ?? []).map((m) => ({ rpc: `${f.package}.${s.name}/${m.name}`, action: m.options?.["[plenum.options.v1.action]"] })),
      ),
    );
    expect(actions.length).toBeGreaterThan(40);
    expect(actions.filter((a) => typeof a.action !== "string" || !/^[a-z]+:[A-Z][A-Za-z]+$/.test(a.action))).toEqual([]);
  });

  it("says in one way what a request_id is (C10)", () => {
    const comments = files.flatMap((file) =>
      (file.messageType ?? []).flatMap((message, i) => {
        const index = message.name.endsWith("Request") ? (message.field ?? []).findIndex((field) => field.name === "request_id") : -1;
        const found = file.sourceCodeInfo?.location?.find((one) => one.path?.join(".") === [4, i, 2, index].join("."));
        return index === -1 ? [] : [`${message.name}: ${(found?.leadingComments ?? "").trim()}`];
      }),
    );
    expect(comments.length).toBeGreaterThan(30);
    expect(comments.filter((one) => !one.endsWith(": Idempotency key, at most 128 characters (C10)."))).toEqual([]);
  });

  it("comments every service, RPC, message that is not a bare request or response, field and enum value", () => {
    const missing: string[] = [];
    for (const file of files) {
      const commented = new Set(
        (file.sourceCodeInfo?.location ?? [])
          .filter((l) => (l.leadingComments ?? "").trim().length > 0)
          .map((l) => (l.path ?? []).join(".")),
      );
      const need = (path: number[], what: string) => {
        if (!commented.has(path.join("."))) missing.push(`${file.name}: ${what}`);
      };
      file.messageType?.forEach((m, i) => {
        if (!/(Request|Response)$/.test(m.name) && !/^(Heartbeat|Subscribe|Unsubscribe)$/.test(m.name)) need([4, i], m.name);
        m.field?.forEach((f, j) => need([4, i, 2, j], `${m.name}.${f.name}`));
      });
      file.enumType?.forEach((e, i) => {
        need([5, i], e.name);
        e.value.forEach((v, j) => need([5, i, 2, j], v.name));
      });
      file.service?.forEach((s, i) => {
        need([6, i], s.name);
        s.method?.forEach((m, j) => need([6, i, 2, j], `${s.name}.${m.name}`));
      });
    }
    expect(missing).toEqual([]);
  });
});

describe("generated code", () => {
  const listed = (dir: string): string[] =>
    readdirSync(dir, { recursive: true, encoding: "utf8" })
      .filter((f) => f.endsWith(".ts") && statSync(join(dir, f)).isFile())
      .sort();

  it("is what the contract generates", () => {
    const made = join(fresh, "gen");
    const names = listed(made);
    expect(listed(join(root, "gen"))).toEqual(names);
    const stale = names.filter((n) => readFileSync(join(made, n), "utf8") !== readFileSync(join(root, "gen", n), "utf8"));
    expect(stale.map((n) => relative(root, join(root, "gen", n)))).toEqual([]);
  });

  it("has a fresh image for reflection", () => {
    const path = join(fresh, "image.binpb");
    buf("build", "-o", path);
    expect(readFileSync(path).equals(readFileSync(join(root, "gen/plenum.binpb")))).toBe(true);
  });
});
