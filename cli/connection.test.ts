import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CliError } from "./cli-error.ts";
import { normaliseEndpoint, resolveConnection } from "./connection.ts";

const dir = mkdtempSync(join(tmpdir(), "plenum-connection-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const context = { endpoint: "127.0.0.1:1", caFile: file("ca", "CA"), tokenFile: file("token", "from context\n"), run: "plaaaaaa" };
file("context.json", JSON.stringify(context));

it("takes each part from the flag, else the environment, else the context", async () => {
  expect(await resolveConnection({ dataDir: dir }, {})).toEqual({ endpoint: "127.0.0.1:1", ca: "CA", token: "from context" });
  const env = { PLENUM_TOKEN_FILE: file("env", "from env"), PLENUM_ENDPOINT: "env.example:2" };
  expect(await resolveConnection({ dataDir: dir }, env)).toMatchObject({ endpoint: "env.example:2", token: "from env", ca: "CA" });
  expect(await resolveConnection({ dataDir: dir, endpoint: "https://flag.example:3/" }, env)).toMatchObject({
    endpoint: "flag.example:3",
    token: "from env",
  });
});

it("says which file cannot be read", async () => {
  await expect(resolveConnection({ dataDir: dir, tokenFile: join(dir, "absent") }, {})).rejects.toThrow(/token file .*absent/);
  await expect(resolveConnection({ dataDir: join(dir, "nowhere") }, {})).rejects.toThrow(CliError);
});

it.each(["", "example", "http://example:1", "example:port", "unix:"])("refuses the endpoint %j", (endpoint) => {
  expect(() => normaliseEndpoint(endpoint)).toThrow(CliError);
});
