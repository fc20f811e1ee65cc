import { Status } from "nice-grpc-common";
import { Command } from "commander";
import type { Option } from "commander";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import { flagOf, inFlags } from "./field-flags.ts";
import { buildProgram, commandsBelow } from "./program.ts";

// Every command is run with and without each of its options, against a server that only notes what it is asked: the field that an option
// changes must be called by that option's name when the server complains of it.

const asked: { method: string; request: Record<string, unknown> }[] = [];
/** Answers to commands that read before they ask. */
const READS: Readonly<Record<string, unknown>> = {
  whoAmI: { accountId: "", principalId: "op", role: Role.OPERATOR },
  getInterface: { interface: { etag: "1", access: { attachers: [], detachers: [], addressSetters: [], modifiers: [] } } },
};

vi.mock("./connection.ts", () => ({ resolveConnection: () => Promise.resolve({ endpoint: "", ca: "", token: "" }) }));
vi.mock("#lib/rpc/client.ts", () => {
  const call = (method: string) => (request: Record<string, unknown>) => {
    const read = READS[method];
    asked.push({ method, request });
    if (read !== undefined) return Promise.resolve(read);
    throw new PlenumError({ code: Status.ABORTED, reason: "INTERNAL", message: "noted" });
  };
  const client = new Proxy({}, { get: (_target, method) => call(String(method)) });
  return { openChannel: () => ({ client: () => client, close: () => undefined }) };
});

const hex = (digit: string): string => digit.repeat(32);
/** Something that may stand for what is between the brackets. */
const SAMPLES: Readonly<Record<string, string>> = {
  vpc: `vpc-${hex("1")}`,
  subnet: `subnet-${hex("2")}`,
  sg: `sg-${hex("3")}`,
  group: `sg-${hex("3")}`,
  eni: `eni-${hex("4")}`,
  interface: `eni-${hex("4")}`,
  attached: `eni-${hex("4")}`,
  instance: `i-${hex("5")}`,
  account: `acct-${hex("6")}`,
  "account[/principal]": `acct-${hex("6")}/alice`,
  "list=account[/principal]": `attacher=acct-${hex("6")}/alice`,
  host: `host-${hex("7")}`,
  attachment: `eni-attach-${hex("8")}`,
  network: "77",
  "key=value": "k=v",
  "key[=value]": "k=v",
  rule: "ingress:any:10.9.0.0/16",
  rules: "ingress:any:10.9.0.0/16",
  n: "7",
  "on|off": "off",
  maximum: "77",
};
/** By the option, where its words are its own. */
const BY_OPTION: Readonly<Record<string, string>> = {
  "--state": "active,running,in-use",
  "--role": "viewer",
  "--ttl": "7m",
  "--timeout": "7s",
  "--wait": "reachable",
  "--since": "7m",
  "--until": "3m",
  "--decision": "refused",
  "--for": "1s",
};

/** Other values of options that a command must have. */
const OTHER: Readonly<Record<string, string>> = {
  [SAMPLES["vpc"]!]: `vpc-${hex("a")}`,
  [SAMPLES["subnet"]!]: `subnet-${hex("b")}`,
  "sample---cidr": "other",
  "sample---subnet": "other",
  "sample---region": "other",
  "sample---zone": "other",
  "sample---principal": "other",
  "sample---reason": "other",
  off: "on",
};
/** What an option is refused without. */
const COMPANION: Readonly<Record<string, readonly string[]>> = { "instance run --group": ["--subnet", SAMPLES["subnet"]!] };

/** Commands of this machine, and options that are no part of a call. */
const LOCAL = new Set(["up", "down", "serve", "migrate", "bootstrap", "join", "drops"]);
const NOT_SENT = new Set(["--limit", "--out", "--for", "--etag", "--wait", "--no-wait", "--force", "--timeout", "--remove", "--enabled"]);

interface Case {
  readonly path: string[];
  readonly command: Command;
}
const cases: Case[] = commandsBelow(buildProgram())
  .filter((command) => command.commands.length === 0 && !LOCAL.has(command.name()))
  .map((command) => ({ command, path: pathTo(command) }));

function pathTo(command: Command): string[] {
  return command.parent === null ? [] : [...pathTo(command.parent), command.name()];
}

const positional = (command: Command): string[] => command.registeredArguments.map((one) => SAMPLES[one.name()] ?? `sample-${one.name()}`);

/** The option with something after it that it may have; a switch alone. Several where its words are one command's and not another's. */
function typed(option: Option): string[][] {
  const long = option.long ?? "";
  const word = /<(.+)>/.exec(option.flags)?.[1];
  if (word === undefined) return [[long]];
  const sample = SAMPLES[word] ?? BY_OPTION[long] ?? `sample-${long}`;
  return (long === "--state" ? sample.split(",") : [sample]).map((one) => [long, one]);
}

/** The last request of a command line. */
async function requestOf(args: readonly string[]): Promise<Record<string, unknown>> {
  asked.length = 0;
  const said = await buildProgram()
    .parseAsync([...args], { from: "user" })
    .catch((error: unknown) => String(error));
  const last = asked.findLast(({ method }) => method !== "whoAmI") ?? asked.at(-1);
  if (last === undefined) throw new Error(`${args.join(" ")} asks nothing: ${String(said)}`);
  return last.request;
}

/** Paths of leaves, as in the proto: a oneof's own name is none. */
function leaves(value: unknown, path: readonly string[] = []): Map<string, string> {
  if (typeof value !== "object" || value === null || value instanceof Date)
    return new Map([[path.join(".").replaceAll(/\.(\[\d+\])/g, "$1"), String(value)]]);
  const found = new Map<string, string>();
  for (const [key, inner] of Object.entries(value as Record<string, unknown>)) {
    if (inner === undefined || key === "requestId" || key === "updateMask") continue;
    const oneof = inner as { $case?: string; value?: unknown };
    const [name, below] = oneof.$case === undefined ? [key, inner] : [oneof.$case, oneof.value];
    const field = Array.isArray(value) ? `[${key}]` : name.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);
    for (const [at, leaf] of leaves(below, [...path, field])) found.set(at, leaf);
  }
  return found;
}

/** Fields of the second request that the first one has not, or has otherwise. */
const changed = (before: Map<string, string>, after: Map<string, string>): string[] =>
  [...after].filter(([at, leaf]) => before.get(at) !== leaf).map(([at]) => at);

describe("a field of a request", () => {
  beforeAll(() => {
    vi.spyOn(process.stdout, "write").mockReturnValue(true);
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
  });

  it("knows the commands", () => expect(cases.length).toBeGreaterThan(60));

  it.each(cases.map((one) => [one.path.join(" "), one] as const))(
    "of `plenum %s` is called by its flag",
    async (_name, { command, path }) => {
      const required = command.options.filter((option) => option.mandatory).flatMap((option) => typed(option)[0] ?? []);
      const values = positional(command);
      const before = leaves(await requestOf([...path, ...required, ...values]));
      for (const [index, argument] of command.registeredArguments.entries()) {
        const filled = [...before].filter(([, leaf]) => leaf.length > 3 && values[index]?.includes(leaf) === true).map(([at]) => at);
        for (const at of filled) expect(flagOf(command, at), at).toBe(`<${argument.name()}>`);
      }
      for (const option of command.options.filter(({ long }) => !NOT_SENT.has(long ?? ""))) {
        const long = option.long ?? "";
        let fields: string[] = [];
        for (const words of typed(option)) {
          const rest = required.includes(long) ? required.map((word) => OTHER[word] ?? word) : required;
          const line = [...path, ...rest, ...(COMPANION[`${path.join(" ")} ${long}`] ?? [])];
          const without = leaves(await requestOf([...line, ...values]));
          // A word that is another command's is refused before anything is asked.
          const ask = (...more: string[]) => requestOf([...line, ...words, ...more]).catch(() => undefined);
          const after = (await ask(...values)) ?? (await ask());
          if (after !== undefined) fields = changed(without, leaves(after));
        }
        expect(fields, `${long} changes something`).not.toEqual([]);
        for (const at of fields) expect(flagOf(command, at), at).toBe(long);
      }
    },
  );
});

describe("a message", () => {
  const command = new Command("create")
    .option("--subnet <subnet>")
    .option("--group <sg>")
    .option("--timeout <time>")
    .argument("[addresses...]");

  it("names what was typed in the place of fields", () => {
    expect(inFlags(command, 'spec.subnet_id is "x": an id of a subnet is subnet- and 32 digits', ["spec.subnet_id"])).toBe(
      '--subnet is "x": an id of a subnet is subnet- and 32 digits',
    );
    expect(inFlags(command, "spec.security_group_ids[1] is missing", ["spec.security_group_ids[1]"])).toBe("the 2nd --group is missing");
    expect(inFlags(command, "private_addresses[0] is 10.0.0.1; raise wait_timeout", [])).toBe("<addresses> is 10.0.0.1; raise --timeout");
  });

  it("names a switch that would be the remedy", () => {
    const run = new Command("run").option("--subnet <subnet>").option("--stopped");
    expect(inFlags(run, "interfaces is empty: give interfaces, or stopped = true", ["interfaces"])).toBe(
      "--subnet is empty: give --subnet, or --stopped",
    );
  });

  it("is left as it is where nothing was typed for a field", () => {
    expect(inFlags(command, "the subnet and other_things of i-1_2", [])).toBe("the subnet and other_things of i-1_2");
  });
});
