import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { aKind, ID_KINDS, isId } from "#lib/ids/ids.ts";
import type { IdPrefix } from "#lib/ids/ids.ts";
import { CliError, ExitCode } from "./cli-error.ts";
import { NAMED } from "./name-kinds.ts";
import type { Candidate, NamedKind } from "./name-kinds.ts";
import type { Caller } from "./session.ts";

/** Where a name counts: of all resources that bear it, those of this account and in these VPCs. */
export interface NameScope {
  /** "": the caller's own account; for an operator, any. */
  readonly owner: string;
  /** Undefined: any. */
  readonly vpcIds: readonly string[] | undefined;
}

const bears = ({ name, alias }: Candidate, text: string): boolean => text !== "" && (name === text || alias === text);

/** As many are shown of those that there are. */
const SHOWN = 10;

/**
 * Names instead of ids. A name is looked for among what belongs to the caller's own account only: what others let one see must not be
 * able to take the place of one's own by being called the same.
 */
export class Names {
  readonly #caller: Caller;
  readonly #lists = new Map<string, Promise<Candidate[]>>();
  #own: Promise<string> | undefined;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** The id that `text` is or names; "" stays. @throws CliError if it names nothing, or more than one */
  async id(kind: NamedKind, text: string, scope: NameScope): Promise<string> {
    const { prefix, command } = NAMED[kind];
    const word = ID_KINDS[prefix];
    if (text === "" || isId(prefix, text)) return text;
    const other = (Object.keys(ID_KINDS) as IdPrefix[]).find((one) => isId(one, text));
    if (other !== undefined)
      throw new CliError(`${text} is ${aKind(other)}, not ${aKind(prefix)}`, `\`${command}\` lists them`, ExitCode.USAGE);
    const all = await this.#within(kind, scope);
    const [found, ...more] = await this.#bearing(kind, all, text, scope);
    if (found === undefined) {
      const isHalfId = text.startsWith(`${prefix}-`) ? ` (an id is ${prefix}- and 32 hexadecimal digits)` : "";
      throw new CliError(
        `there is no ${word} named ${JSON.stringify(text)}${isHalfId}`,
        this.#whatThereIs(all, command),
        ExitCode.NOT_FOUND,
      );
    }
    if (more.length === 0) return found.id;
    throw new CliError(
      `more than one ${word} is named ${JSON.stringify(text)}`,
      NAMED[kind].inVpc
        ? `give the id of the one you mean, or say in which VPC it is (${command.split(" ")[1]} <vpc>/${text})`
        : "give the id of the one you mean",
      ExitCode.USAGE,
      { details: [found, ...more].map((one) => [one.id, one.vpcId].filter((part) => part !== undefined).join(" in ")) },
    );
  }

  /** The caller's; "" for an operator. */
  ownAccount(): Promise<string> {
    return (this.#own ??= this.#caller
      .client(TokenServiceDefinition)
      .whoAmI({})
      .then(({ accountId }) => accountId));
  }

  /** The VPC of a subnet, group or interface. */
  async vpcOf(kind: "subnet" | "group" | "interface", id: string): Promise<string> {
    switch (kind) {
      case "subnet":
        return (await this.#caller.client(SubnetServiceDefinition).getSubnet({ subnetId: id })).subnet?.vpcId ?? "";
      case "group":
        return (
          (await this.#caller.client(SecurityGroupServiceDefinition).getSecurityGroup({ securityGroupId: id })).securityGroup?.vpcId ?? ""
        );
      case "interface":
        return (await this.#caller.client(InterfaceServiceDefinition).getInterface({ interfaceId: id })).interface?.vpcId ?? "";
    }
  }

  async #within(kind: NamedKind, { owner, vpcIds }: NameScope): Promise<Candidate[]> {
    const account = owner === "" && NAMED[kind].owned ? await this.ownAccount() : owner;
    const key = `${kind} ${account}`;
    const list = this.#lists.get(key) ?? NAMED[kind].list(this.#caller, account);
    this.#lists.set(key, list);
    return (await list).filter(({ vpcId }) => vpcId === undefined || vpcIds === undefined || vpcIds.includes(vpcId));
  }

  /** Those of this name; "vpc/name" where nothing is called so as a whole. */
  async #bearing(kind: NamedKind, all: readonly Candidate[], text: string, scope: NameScope): Promise<Candidate[]> {
    const named = all.filter((one) => bears(one, text));
    const living = named.filter(({ ended }) => ended !== true);
    if (living.length > 0) return living;
    const slash = text.indexOf("/");
    if (named.length > 0 || !NAMED[kind].inVpc || slash < 1) return named;
    const vpc = await this.id("vpc", text.slice(0, slash), scope);
    return all.filter((one) => one.vpcId === vpc && bears(one, text.slice(slash + 1)));
  }

  #whatThereIs(all: readonly Candidate[], command: string): string {
    const living = all.filter(({ ended }) => ended !== true).map(({ name, alias = "" }) => (name === "" ? alias : name));
    const names = [...new Set(living.filter((name) => name !== ""))].sort();
    const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
    const there = names.length === 0 ? "none of yours has a name" : `there are ${names.slice(0, SHOWN).join(", ")}${more}`;
    return `${there}; give a name or an id of \`${command}\`. What is not your account's own is named by its id`;
  }
}
