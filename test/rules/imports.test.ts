import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, isGenerated, repositoryFiles, textOf } from "./repository.ts";

// What may import what (docs/adr/0002): services meet only through the contract, so that each can run alone.

const services = ["coordinator", "edge", "mapping-service", "metering", "registration", "scaling", "host-agent"];
/** C21: a module of the coordinator may import only the `api.ts` of those before it. */
const coordinatorOrder = ["call", "identity", "consent", "topology", "network", "interface", "placement", "backnet", "feed"];

const sources = repositoryFiles("*.ts").filter((f) => !isGenerated(f));

/** Repository path that an import means, or undefined for a package or a Node module. */
function resolveImport(file: string, specifier: string): string | undefined {
  if (specifier.endsWith(".json")) return undefined; // data, not code: the version in package.json
  if (specifier.startsWith("#")) return specifier.slice(1);
  if (specifier.startsWith(".")) return posix.normalize(posix.join(posix.dirname(file), specifier));
  return undefined;
}

const edges = sources.flatMap((file) =>
  importsOf(file).flatMap((specifier) => {
    const target = resolveImport(file, specifier);
    return target === undefined ? [] : [{ file, target }];
  }),
);

const isTest = (file: string) => /\.test\.ts$|\/testing\/|^host-agent\/oracle\//.test(file);

describe("imports", () => {
  it("finds the imports at all", () => {
    expect(edges.length).toBeGreaterThan(100);
  });

  it("lets a service import itself, lib and gen only", () => {
    const wrong = edges.filter(({ file, target }) => {
      const top = file.split("/")[0]!;
      if (!services.includes(top)) return false;
      return !target.startsWith(`${top}/`) && !target.startsWith("lib/") && !target.startsWith("gen/");
    });
    expect(wrong).toEqual([]);
  });

  it("lets lib import lib and gen only", () => {
    expect(edges.filter(({ file, target }) => file.startsWith("lib/") && !target.startsWith("lib/") && !target.startsWith("gen/"))).toEqual(
      [],
    );
  });

  it("keeps the coordinator's modules in their order, through api.ts", () => {
    const wrong = edges.filter(({ file, target }) => {
      if (isTest(file) || !file.startsWith("coordinator/") || !target.startsWith("coordinator/")) return false;
      const from = file.split("/")[1]!;
      const to = target.split("/")[1]!;
      if (from === to || !coordinatorOrder.includes(from)) return false; // inside a module, or the wiring above them
      const before = coordinatorOrder.indexOf(to) !== -1 && coordinatorOrder.indexOf(to) < coordinatorOrder.indexOf(from);
      return !before || target.split("/")[2] !== "api.ts";
    });
    expect(wrong).toEqual([]);
  });

  it("keeps core/ pure: no input or output, no clock, no chance", () => {
    const pure = sources.filter((f) => f.split("/").includes("core") && !isTest(f));
    expect(pure.length).toBeGreaterThan(5);
    const wrong = pure.flatMap((file) => {
      const found: string[] = [];
      for (const specifier of importsOf(file)) {
        if (/^node:(?!crypto$|assert)/.test(specifier) || /^(pg|kysely|@nats-io|nice-grpc$|koffi)/.test(specifier)) found.push(specifier);
        if (/\/(in|out)\//.test(specifier)) found.push(specifier);
      }
      const code = textOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
      for (const word of ["Date.now(", "new Date()", "performance.now(", "setTimeout(", "setInterval(", "Math.random(", "process.env"]) {
        if (code.includes(word)) found.push(word);
      }
      return found.length > 0 ? [{ file, found }] : [];
    });
    expect(wrong).toEqual([]);
  });

  it("never imports a test from the product", () => {
    // Benchmarks are no product either: they measure in the laboratories of the tests.
    const product = (file: string) => !isTest(file) && !/^(test|bench)\//.test(file);
    expect(edges.filter(({ file, target }) => product(file) && isTest(target))).toEqual([]);
  });
});
