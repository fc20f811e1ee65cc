import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestPostgres, testDirectory } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { bootstrapFiles } from "../../cli/serve/bootstrap.ts";
import { root } from "../rules/repository.ts";
import { plainEnvironment } from "./support/launcher.ts";
import { background, run, runIn } from "./support/run.ts";
import type { Background, Outcome } from "./support/run.ts";

// An installation as an operator makes it (docs/guides/install.md): a PostgreSQL that asks for passwords, a NATS, `plenum bootstrap`, each
// service by itself, and a host that joins. All of it in a network namespace of its own, where the ports are ours.

const name = `plsv${randomBytes(3).toString("hex")}`;
const netns = `/run/netns/${name}`;
const main = join(root, "cli/main.ts");
const ADDRESS = "198.18.0.11";

let postgres: TestPostgres;
let dir: string;
let files: ReturnType<typeof bootstrapFiles>;
let adminUrl: string;
const running: Background[] = [];

const env = plainEnvironment();
const settings = (values: Record<string, string>): string[] =>
  Object.entries({ NODE_COMPILE_CACHE: env["NODE_COMPILE_CACHE"] ?? "", ...values }).map(([key, value]) => `${key}=${value}`);
/** What was typed, each as one line. */
const ran: string[] = [];
const plenumIn = (values: Record<string, string>, ...args: string[]): Promise<Outcome> => {
  ran.push(args.join(" "));
  return runIn(netns, "env", [...settings(values), process.execPath, main, ...args], 60_000);
};
/** As the operator, at the coordinator's API. */
const plenum = (...args: string[]): Promise<Outcome> =>
  plenumIn({ PLENUM_ENDPOINT: "127.0.0.1:7443", PLENUM_CA_FILE: files.ca, PLENUM_TOKEN_FILE: files.operatorToken }, ...args);
const bootstrap = (url = adminUrl): Promise<Outcome> =>
  plenumIn(
    { DATABASE_ADMIN_URL: url },
    "bootstrap",
    "--config-dir",
    dir,
    "--nats-url",
    "nats://127.0.0.1:4222",
    "--server-names",
    "127.0.0.1",
  );
/** A service's file, as a shell reads it. */
const environmentOf = (service: string): Record<string, string> =>
  Object.fromEntries(
    [...readFileSync(files.environment(service), "utf8").matchAll(/^(\w+)='(.*)'$/gm)].map(([, key, value]) => [key!, value!]),
  );

async function serve(service: string, ...args: string[]): Promise<void> {
  ran.push(["serve", service, ...args].join(" "));
  const served = background(netns, "env", [...settings(environmentOf(service)), process.execPath, main, "serve", service, ...args]);
  running.push(served);
  await served.line(/"serving"/, 60_000);
}

async function good(outcome: Promise<Outcome>): Promise<string> {
  const { code, stdout, stderr } = await outcome;
  if (code !== 0) throw new Error(stdout + stderr);
  return stdout;
}

beforeAll(async () => {
  dir = await testDirectory("serve");
  files = bootstrapFiles(dir);
  postgres = await startTestPostgres();
  const super_ = new pg.Client({ connectionString: postgres.url });
  await super_.connect();
  await super_.query("CREATE ROLE admin LOGIN CREATEROLE PASSWORD 'given'");
  await super_.query("CREATE DATABASE plenum OWNER admin");
  // Everybody else's connections are by password from here on, as on a machine of its own.
  writeFileSync(join(postgres.dataDir, "pgdata/pg_hba.conf"), "local all plenum trust\nlocal all all scram-sha-256\n");
  await super_.query("SELECT pg_reload_conf()");
  await super_.end();
  adminUrl = postgres.url.replace(/^postgres:\/\/[^@]+@localhost\/postgres/, "postgres://admin:given@localhost/plenum");

  for (const words of [
    `netns add ${name}`,
    `-n ${name} link set lo up`,
    `-n ${name} link add sub0 type veth peer name sub1`,
    `-n ${name} address add ${ADDRESS}/24 dev sub0`,
    `-n ${name} link set sub0 up`,
    `-n ${name} link set sub1 up`,
  ])
    await good(run("ip", words.split(" ")));
  const nats = background(netns, "nats-server", ["-a", "127.0.0.1", "-p", "4222"]);
  running.push(nats);
  await nats.line(/Server is ready/);
});
afterAll(async () => {
  for (const one of running.toReversed()) await one.stop("SIGTERM");
  await run("umount", [join(dir, "h1/bpf")]);
  for (const left of readdirSync("/run/netns").filter((file) => file.startsWith(name))) await run("ip", ["netns", "delete", left]);
  await postgres?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe("plenum bootstrap", () => {
  it("is what `serve` asks for where nothing is prepared", async () => {
    const values = { DATABASE_URL: adminUrl, NATS_URL: "nats://127.0.0.1:4222", PLENUM_SECRETS_DIR: join(dir, "none") };
    const { code, stderr } = await plenumIn(values, "serve", "coordinator");
    expect(code).toBe(1);
    expect(stderr).toMatch(/coordinator cannot start: .*migrate it first\n {2}remedy: `plenum bootstrap`/);
  });

  it("says what is wrong with the database, and keeps its password to itself", async () => {
    const { code, stderr } = await bootstrap(adminUrl.replace("given", "guessed"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/PostgreSQL at localhost\/plenum cannot be prepared: password authentication failed/);
    expect(stderr).not.toContain("guessed");
  });

  it("makes keys, schemas, roles with passwords and the operator's token, closed to others", async () => {
    expect(await good(bootstrap())).toMatch(
      /schema of coordinator: migrated[^]*role plenum_mapping may log in[^]*operator\.token written: operator/,
    );
    for (const path of [
      files.operatorToken,
      files.environment("coordinator"),
      files.environment("mapping-service"),
      join(files.secrets, "ca.json"),
    ])
      expect(statSync(path).mode & 0o777, path).toBe(0o600);
    expect(statSync(files.secrets).mode & 0o777).toBe(0o700);
  });

  it("changes nothing when it is repeated, and makes anew what is gone", async () => {
    const read = () => [files.operatorToken, files.environment("coordinator"), files.ca].map((path) => readFileSync(path, "utf8"));
    const before = read();
    expect(await good(bootstrap())).toMatch(/up to date[^]*coordinator\.env kept[^]*operator\.token kept/);
    expect(read()).toEqual(before);
    rmSync(files.operatorToken);
    expect(await good(bootstrap())).toContain("operator.token written");
    expect(read()[0]).not.toBe(before[0]);
    expect(read().slice(1)).toEqual(before.slice(1));
    expect(await good(plenumIn({ DATABASE_ADMIN_URL: adminUrl }, "migrate"))).toBe("schema of coordinator: up to date\n");
  });
});

describe("services served one by one", () => {
  it("run as roles with passwords, take a host and run an instance on it", async () => {
    await serve("coordinator", "--api-address", "127.0.0.1:7443", "--internal-address", "127.0.0.1:7444");
    await serve(
      "mapping-service",
      "--api-address",
      "127.0.0.1:7453",
      "--internal-address",
      "127.0.0.1:7454",
      "--metrics-address",
      "127.0.0.1:9403",
    );
    expect(await good(plenum("whoami"))).toMatch(/principal_id +operator\nrole +ROLE_OPERATOR/);

    const token = join(dir, "join.token");
    await good(plenum("zone", "create", "zone-a", "--region", "region-1"));
    await good(plenum("host", "token", "--zone", "zone-a", "--out", token));
    const host = ["--internal-endpoint", "127.0.0.1:7444", "--substrate-address", ADDRESS, "--name", "h1", "--state-dir", join(dir, "h1")];
    expect(await good(plenum("host", "join", ...host, "--join-token-file", token))).toMatch(/^joined as host-\w+ in zone zone-a/);
    const agent = [join(root, "host-agent/main.ts"), ...host, "--mapping-endpoint", "127.0.0.1:7454", "--namespace-prefix", name];
    running.push(background(netns, "env", [...settings({}), process.execPath, ...agent]));
    await expect
      .poll(async () => (await plenum("host", "list")).stdout, { timeout: 30_000 })
      .toMatch(/ h1 +CONNECTED +zone-a +198\.18\.0\.11 +Ready /);

    await good(plenum("account", "create", "acme"));
    await good(plenum("vpc", "create", "--owner", "acme", "--name", "shop", "--cidr", "10.0.0.0/16", "--subnet", "10.0.1.0/24"));
    expect(await good(plenum("instance", "run", "--owner", "acme", "--name", "web", "--subnet", "10.0.1.0/24", "--host", "h1"))).toContain(
      "INSTANCE_STATE_RUNNING",
    );
    const network = /^vpc-\w+ +shop +\S+ +(\d+)/m.exec(await good(plenum("vpc", "list")))![1]!;
    expect(await good(plenum("mapping", "lookup", network, "10.0.1.3", "--endpoint", "127.0.0.1:7453"))).toMatch(/^found as of version/);
    await good(plenum("instance", "terminate", "web"));
  });
});

it("are all the commands of the guide", () => {
  const page = readFileSync(join(root, "docs/guides/install.md"), "utf8");
  const blocks = [...page.matchAll(/^```text\n([^]*?)^```$/gm)].map(([, text = ""]) => text).join("");
  const typed = [...blocks.matchAll(/^plenum ([a-z][a-z-]*(?: [a-z][a-z-]*)?)((?:[^\n\\]|\\\n)*)/gm)];
  expect(typed.length).toBeGreaterThan(8);
  for (const [line, words = "", rest = ""] of typed) {
    const options = rest.match(/--[a-z-]+/g) ?? [];
    const found = ran.some((one) => one.startsWith(words) && options.every((option) => one.includes(option)));
    expect(found, `${line} is on the page and was not run`).toBe(true);
  }
});

describe("plenum up", () => {
  it.each(["DATABASE_URL", "NATS_URL"])("does not ignore a %s: it brings its own", async (variable) => {
    const { code, stderr } = await plenumIn(
      { [variable]: "postgres://elsewhere/plenum" },
      "up",
      "--data-dir",
      join(dir, "up"),
      "--port",
      "0",
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`${variable} is set[^]*remedy: .*plenum serve`));
  });
});
