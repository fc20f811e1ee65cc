// Reference pages that say what the source says: docs/reference/*.md. Run by hand after a change of what they show
// (node scripts/render-reference.ts); test/rules/reference.test.ts fails for a page that is not fresh.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { format, resolveConfig } from "prettier";
import { describeConfig } from "#lib/config/config.ts";
import type { ConfigTable } from "#lib/config/config.ts";
import { addLocalCommands } from "../cli/commands/local.ts";
import { BOOTSTRAP_CONFIG, MIGRATE_CONFIG, SERVE_CONFIG } from "../cli/serve/config.ts";
import { COORDINATOR_CONFIG } from "../coordinator/config.ts";
import { AGENT_CONFIG } from "../host-agent/config.ts";
import { dropReasons } from "../host-agent/out/datapath/index.ts";
import { MAPPING_CONFIG } from "../mapping-service/config.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
export const REFERENCE_DIR = "docs/reference";

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
const generated = (from: string): string => `<!-- Made from ${from} by scripts/render-reference.ts; do not edit. -->`;

/** Where a reason is counted is in brackets at the end of its text; without them at the interface. */
function drops(): string {
  const rows = dropReasons.map(({ number, name, description }) => {
    const [, text = description, where = "interface"] = /^(.*?) \((host[^)]*)\)$/.exec(description) ?? [];
    return [String(number), `\`${name}\``, cell(where), cell(text)];
  });
  return `${generated("host-agent/bpf/drop_reasons.h")}

# Drop reasons

A packet that is not forwarded has exactly one of these reasons. \`plenum drops\` shows them by interface; \`Interface.traffic.drops_by_reason\`,
\`Host.host_drops_by_reason\` and the agents' metric \`plenum_host_dropped_packets_total{interface,reason}\` hold them. Numbers and names are never given
to another reason.

"Counted at" is the interface that sent (or, on the receiving host, the one that would have received) the packet, or the host itself, where no
interface is to blame.

${table(["number", "name", "counted at", "why"], rows)}
`;
}

const fromFlags = (config: ConfigTable): string =>
  table(
    ["option", "variable", "default", "what"],
    describeConfig(config).map((one) => [`\`--${one.flag}\``, `\`${one.env}\``, shownDefault(one.default), cell(one.description)]),
  );

const fromEnvironment = (config: ConfigTable): string =>
  table(
    ["variable", "default", "what"],
    describeConfig(config).map((one) => [`\`${one.env}\``, shownDefault(one.default), cell(one.description)]),
  );

const shownDefault = (text: string | undefined): string =>
  text === undefined ? "_required_" : text === "none" ? "none" : /[ ']/.test(text) ? cell(text) : `\`${text}\``;

function upOptions(): string {
  const program = new Command();
  addLocalCommands(program);
  const up = program.commands.find((command) => command.name() === "up");
  if (up === undefined) throw new Error("there is no command `up`");
  const rows = up.options.map((option) => [
    `\`${option.flags}\``,
    shownDefault(option.defaultValue as string | undefined),
    cell(option.description),
  ]);
  return table(["option", "default", "what"], rows);
}

function config(): string {
  return `${generated("the config tables of services, cli and host-agent")}

# Settings

An option goes over its variable. An unknown option, and an agent's unknown \`PLENUM_\` variable, is an error.

## plenum up

Besides \`--data-dir\` (\`PLENUM_DATA_DIR\`). It tells its control plane and agents all they need; settings below are not passed on to them.

${upOptions()}

## plenum serve

One service in one process.

${fromFlags(SERVE_CONFIG)}

### Of the coordinator

Variables only.

${fromEnvironment(COORDINATOR_CONFIG)}

### Of the mapping service

Variables only.

${fromEnvironment(MAPPING_CONFIG)}

## plenum bootstrap

\`--server-names\` is what \`plenum serve\` will be given.

${fromFlags(BOOTSTRAP_CONFIG)}

## plenum migrate

${fromFlags(MIGRATE_CONFIG)}

## Host agent

${fromFlags(AGENT_CONFIG)}
`;
}

const STATUS =
  /\b(INVALID_ARGUMENT|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|RESOURCE_EXHAUSTED|ABORTED|UNAVAILABLE|OUT_OF_RANGE|UNIMPLEMENTED|DEADLINE_EXCEEDED|INTERNAL)\b/g;

function errors(): string {
  const proto = readFileSync(join(root, "proto/plenum/errors/v1/reason.proto"), "utf8");
  const rows = [...proto.matchAll(/((?:^ {2}\/\/ .*\n)+) {2}REASON_(\w+) = (\d+);/gm)]
    .map(([, comment = "", name = "", number = ""]) => ({
      name,
      number,
      text: comment
        .replace(/^ *\/\/ ?/gm, "")
        .replaceAll("\n", " ")
        .trim(),
    }))
    .filter(({ name }) => name !== "UNSPECIFIED")
    .map(({ name, text }) => {
      const statuses = [...new Set([...text.matchAll(STATUS)].map(([status]) => status))];
      const meaning = text.replace(/ ?Metadata: .*$/, "").replace(/ (?:[A-Z_]{5,} or )?[A-Z_]{5,}(?: \(C\d+\))?\.(?= |$)/g, "");
      const metadata = /Metadata: (.*?)\.?$/.exec(text)?.[1] ?? "";
      return [`\`${name}\``, statuses.join(", "), cell(meaning), cell(metadata)];
    });
  if (rows.length < 20) throw new Error("reason.proto is not written as it was: no reasons found");
  return `${generated("proto/plenum/errors/v1/reason.proto")}

# Errors

Why a call was refused, for programs: the reason of the \`google.rpc.ErrorInfo\` in the error's details, domain "plenum". Its metadata holds every
fact that the message names. Faults in fields also come as \`google.rpc.BadRequest\`, with the field's path. The command shows the reason
in capitals at the end of the message.

${table(["reason", "status", "meaning", "metadata"], rows)}
`;
}

/** Every page: path from the root → content as it must be. */
export async function renderReference(): Promise<Map<string, string>> {
  const pages = { "drops.md": drops(), "config.md": config(), "errors.md": errors() };
  const style = await resolveConfig(join(root, "package.json"));
  const all = Object.entries(pages).map(
    async ([name, text]) => [`${REFERENCE_DIR}/${name}`, await format(text, { ...style, parser: "markdown" })] as const,
  );
  return new Map(await Promise.all(all));
}

if (import.meta.main) {
  mkdirSync(join(root, REFERENCE_DIR), { recursive: true });
  for (const [path, text] of await renderReference()) writeFileSync(join(root, path), text);
}
