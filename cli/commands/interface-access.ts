import type { Command } from "commander";
import type { Grant } from "#gen/plenum/common/v1/common.ts";
import type { InterfaceAccess } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { present, withSession } from "../session.ts";
import { interfaces } from "../tables.ts";
import { collect, parseWord } from "../values.ts";

/** By the words of the command line. */
const LISTS = { attacher: "attachers", detacher: "detachers", "address-setter": "addressSetters", modifier: "modifiers" } as const;
type List = (typeof LISTS)[keyof typeof LISTS];

/** Accounts, or principals of them, that a record's lists name from its beginning. */
export interface AccessOptions {
  attacher?: string[];
  detacher?: string[];
  addressSetter?: string[];
  modifier?: string[];
}

const ONE_PRINCIPAL = "acct-…/name: only that principal";

/** "acct-…", or "acct-…/name" for one principal of it. Without end or bound. */
function parseGrantee(text: string): Grant {
  const at = text.indexOf("/");
  const [accountId, principalId] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  return { accountId, principalId, consentId: "", validFrom: undefined, validUntil: undefined };
}

const keyOf = ({ accountId, principalId }: Grant): string => `${accountId}/${principalId}`;

/** --attacher and so on. */
export function addAccessOptions(command: Command): void {
  command
    .option("--attacher <account[/principal]>", `may attach it to its own instances; ${ONE_PRINCIPAL}; may be repeated`, collect)
    .option("--detacher <account[/principal]>", "may detach it; may be repeated", collect)
    .option("--address-setter <account[/principal]>", "may change its addresses; may be repeated", collect)
    .option("--modifier <account[/principal]>", "may change its other fields, these lists included; may be repeated", collect);
}

/** The lists of a new record. */
export function accessOf(options: AccessOptions): InterfaceAccess {
  const list = (accounts: readonly string[] = []) => accounts.map(parseGrantee);
  return {
    attachers: list(options.attacher),
    detachers: list(options.detacher),
    addressSetters: list(options.addressSetter),
    modifiers: list(options.modifier),
  };
}

interface Entry {
  readonly list: List;
  readonly grant: Grant;
}

/** "attacher=acct-…", "attacher=acct-…/name". @throws CliError */
function parseEntry(text: string): Entry {
  const [word = "", grantee = "", ...more] = text.split("=");
  const grant = parseGrantee(grantee);
  if (grant.accountId === "" || more.length > 0)
    throw new CliError(
      `${JSON.stringify(text)} names no list and account`,
      "write it as attacher=acct-… or attacher=acct-…/name",
      ExitCode.USAGE,
    );
  return { list: parseWord<List>(LISTS, word, "list"), grant };
}

/** The lists with some entries more and some less; what stays keeps its terms. */
function edited(access: InterfaceAccess, add: readonly Entry[], remove: readonly Entry[]): InterfaceAccess {
  const next = (list: List) => {
    const gone = new Set(remove.filter((entry) => entry.list === list).map(({ grant }) => keyOf(grant)));
    const kept = access[list].filter((grant) => !gone.has(keyOf(grant)));
    const known = new Set(kept.map(keyOf));
    const more = add.filter((entry) => entry.list === list && !known.has(keyOf(entry.grant)));
    return [...kept, ...more.map(({ grant }) => grant)];
  };
  return {
    attachers: next("attachers"),
    detachers: next("detachers"),
    addressSetters: next("addressSetters"),
    modifiers: next("modifiers"),
  };
}

/** eni access. */
export function addAccessCommand(eni: Command): void {
  eni
    .command("access <interface>")
    .description("change who beside the owner may attach, detach, set addresses or modify a record (owner or modifier)")
    .option("--add <list=account[/principal]>", `list: ${Object.keys(LISTS).join(", ")}; may be repeated`, collect)
    .option("--remove <list=account[/principal]>", "may be repeated", collect)
    .addHelpText("after", "\nExample:\n  plenum eni access eni-… --add attacher=acct-…/alice --remove modifier=acct-…")
    .action(
      withSession(async (session, interfaceId: string, options: { add?: string[]; remove?: string[] }) => {
        const [add, remove] = [options.add ?? [], options.remove ?? []].map((entries) => entries.map(parseEntry));
        const client = session.client(InterfaceServiceDefinition);
        const { etag, access } = present((await client.getInterface({ interfaceId })).interface, "interface");
        // By the etag: lists that somebody else has changed meanwhile are not overwritten.
        const answer = await client.updateInterface({
          requestId: session.requestId,
          interface: { interfaceId, etag, access: edited(present(access, "access"), add ?? [], remove ?? []) },
          updateMask: ["access"],
        });
        // Whoever gives up its own entry may see the record no more.
        if (answer.interface === undefined) session.say(`${interfaceId}: changed, and not yours to see any more`);
        else session.one(interfaces, answer.interface);
      }),
    );
}
