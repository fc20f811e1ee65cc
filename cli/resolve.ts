import type { Command, Option } from "commander";
import { isId } from "#lib/ids/ids.ts";
import type { NamedKind } from "./name-kinds.ts";
import type { Names, NameScope } from "./names.ts";
import { ruleGroup } from "./rule.ts";

type Values = Record<string, unknown>;
type Resolve = (text: string) => Promise<string>;

/**
 * What stands between angle brackets in a command's usage says what it names: `--vpc <vpc>`, `eni get <interface>`. So every command takes
 * names where it takes ids, by this table alone.
 */
const KIND_OF: Readonly<Record<string, NamedKind>> = {
  account: "account",
  vpc: "vpc",
  subnet: "subnet",
  sg: "group",
  group: "group",
  eni: "interface",
  interface: "interface",
  instance: "instance",
  host: "host",
};

/** Each after those that say where it is looked for. */
const ORDER: readonly NamedKind[] = ["account", "host", "vpc", "subnet", "interface", "instance", "group"];

/** "--vpc <vpc>" → "vpc"; a switch has none. */
const placeholder = (option: Option): string => /<(.+)>/.exec(option.flags)?.[1] ?? "";

async function each(value: unknown, resolve: Resolve): Promise<unknown> {
  if (value === "") return value;
  if (typeof value === "string") return resolve(value);
  if (!Array.isArray(value)) return value;
  const all: string[] = [];
  for (const one of value as string[]) all.push(await resolve(one));
  return all;
}

/** One place of the command line that may hold names, and how to read and write it. */
interface Slot {
  readonly word: string;
  get(): unknown;
  set(value: unknown): void;
}

function slotsOf(command: Command, args: unknown[], options: Values): Slot[] {
  const positional = command.registeredArguments.map((argument, index) => ({
    word: argument.name(),
    get: () => args[index],
    set: (value: unknown) => void (args[index] = value),
  }));
  const named = command.options.map((option) => ({
    word: placeholder(option),
    get: () => options[option.attributeName()],
    set: (value: unknown) => void (options[option.attributeName()] = value),
  }));
  return [...positional, ...named];
}

/** "acct-…/alice", "acme/alice": the part before the stroke is an account. */
async function grantee(text: string, account: Resolve): Promise<string> {
  const [name = "", ...principal] = text.split("/");
  return [await account(name), ...principal].join("/");
}

/** "attacher=acme/alice". What is no such pair stays, for whoever reads it to complain. */
async function listEntry(text: string, account: Resolve): Promise<string> {
  const [list = "", ...rest] = text.split("=");
  return rest.length === 1 ? `${list}=${await grantee(rest[0] ?? "", account)}` : text;
}

/** "ingress:tcp:80:web". */
async function rule(text: string, group: Resolve): Promise<string> {
  const name = ruleGroup(text);
  return name === undefined ? text : `${text.slice(0, -name.length)}${await group(name)}`;
}

/** `eni detach` takes three kinds of ids; a name is an interface's. */
const target = (text: string, eni: Resolve): Promise<string> =>
  isId("eni-attach", text) || isId("i", text) ? Promise.resolve(text) : eni(text);

/** The VPCs that the command's other words lie in: a group's name counts there. Undefined: they say nothing of it. */
async function vpcsOf(names: Names, slots: readonly Slot[]): Promise<string[] | undefined> {
  const ids: string[] = [];
  for (const kind of ["vpc", "subnet", "interface", "group"] as const) {
    for (const slot of slots.filter(({ word }) => KIND_OF[word] === kind)) {
      for (const id of [slot.get()].flat() as (string | undefined)[]) {
        if (id === undefined || id === "") continue;
        if (kind === "vpc") ids.push(id);
        else if (kind !== "group" || isId("sg", id)) ids.push(await names.vpcOf(kind, id));
      }
    }
  }
  return ids.length === 0 ? undefined : ids;
}

/** Arguments and options with ids where there were names. @throws CliError for a name that means nothing, or more than one thing */
export async function resolveNames(
  names: Names,
  command: Command,
  args: readonly unknown[],
  options: Values,
): Promise<{ args: unknown[]; options: Values }> {
  const [newArgs, newOptions] = [[...args], { ...options }];
  const slots = slotsOf(command, newArgs, newOptions);
  const everywhere: NameScope = { owner: "", vpcIds: undefined };
  const account: Resolve = (text) => names.id("account", text, everywhere);
  const fill = async (words: readonly string[], resolve: Resolve): Promise<void> => {
    for (const slot of slots.filter(({ word }) => words.includes(word))) slot.set(await each(slot.get(), resolve));
  };
  await fill(["account[/principal]"], (text) => grantee(text, account));
  await fill(["list=account[/principal]"], (text) => listEntry(text, account));
  let scope = everywhere;
  const at = async (): Promise<NameScope> => ({ ...scope, vpcIds: await vpcsOf(names, slots) });
  for (const kind of ORDER) {
    const words = Object.keys(KIND_OF).filter((word) => KIND_OF[word] === kind);
    await fill(words, async (text) => (isId("sg", text) ? text : names.id(kind, text, kind === "group" ? await at() : scope)));
    if (kind === "account") scope = { ...scope, owner: typeof newOptions["owner"] === "string" ? newOptions["owner"] : "" };
    if (kind === "vpc" && typeof newOptions["vpc"] === "string" && newOptions["vpc"] !== "")
      scope = { ...scope, vpcIds: [newOptions["vpc"]] };
  }
  await fill(["attached"], (text) => target(text, (name) => names.id("interface", name, scope)));
  await fill(["rule", "rules"], (text) => rule(text, async (name) => names.id("group", name, await at())));
  return { args: newArgs, options: newOptions };
}
