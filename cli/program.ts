import { Command } from "commander";
import { pathOf } from "./cli-error.ts";
import { exampleOf } from "./examples.ts";
import { addConsentCommands } from "./commands/consent.ts";
import { addHostJoin } from "./commands/host-join.ts";
import { addIdentityCommands } from "./commands/identity.ts";
import { addInstanceCommands } from "./commands/instance.ts";
import { addInterfaceCommands } from "./commands/interface.ts";
import { addLocalCommands } from "./commands/local.ts";
import { addNetworkCommands } from "./commands/network.ts";
import { addOperatorCommands } from "./commands/operator.ts";
import { addPrincipalCommands } from "./commands/principal.ts";
import { addSecurityGroupCommands } from "./commands/security-group.ts";
import { addServeCommands } from "./commands/serve.ts";
import { addTopologyCommands } from "./commands/topology.ts";

const EPILOGUE = `
Connection: a flag, else PLENUM_ENDPOINT, PLENUM_TOKEN_FILE, PLENUM_CA_FILE, else the context of \`plenum up\` (--data-dir, PLENUM_DATA_DIR,
or the last one started on this machine).

Names: where a command takes the id of a VPC, subnet, group, interface, instance, account or host, it also takes its name, if that is the
only one of that name in your account (for an operator: in the installation, or in the account of --owner). A subnet, group or interface may
be given with its VPC: shop/web.

Exit codes: 0 done, 1 failed, 2 wrong command or input, 3 no answer, 4 not allowed, 5 no such resource, 6 the state of things forbids it.`;

/** The whole command tree. */
export function buildProgram(): Command {
  const program = new Command("plenum")
    .description("A self-hosted virtual private cloud network.")
    .option("--endpoint <host:port>", "where the API listens")
    .option("--token-file <file>", "file with the bearer token")
    .option("--ca-file <file>", "PEM of the root that signed the API's certificate")
    .option("--data-dir <dir>", "data directory of `plenum up`, for its context")
    .option("-o, --output <format>", "table, json (proto JSON), or id (one a line)", "table")
    .option("--request-id <id>", "idempotency key of a call that makes or changes something; default: a new one")
    .addHelpText("after", EPILOGUE)
    .showHelpAfterError("  remedy: the same with --help shows what there is, with examples")
    .exitOverride();
  addIdentityCommands(program);
  addPrincipalCommands(program);
  addConsentCommands(program);
  addTopologyCommands(program);
  addNetworkCommands(program);
  addSecurityGroupCommands(program);
  addInterfaceCommands(program);
  addInstanceCommands(program);
  const host = program.command("host").description("hosts: machines that carry instances (operator)");
  addOperatorCommands(program, host);
  addHostJoin(host);
  addLocalCommands(program);
  addServeCommands(program);
  for (const command of commandsBelow(program).filter((one) => one.name() === "list")) addLimit(command);
  for (const command of commandsBelow(program)) {
    if (command.commands.length === 0 && !hasExample(command)) command.addHelpText("after", exampleOf(command, pathOf(command)));
  }
  return program;
}

/** What the help of a command is, with what was added after it. */
function hasExample(command: Command): boolean {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
  command.configureOutput({ writeOut: (part) => void process.stdout.write(part) });
  return /^Examples?:$/m.test(text);
}

/** Every command below this one, at any depth. */
export const commandsBelow = (command: Command): Command[] => command.commands.flatMap((one) => [one, ...commandsBelow(one)]);

/** Every list is in an order that stays (that of the ids, which is that of time; audit and operations: newest first), and may be cut short. */
function addLimit(list: Command): void {
  if (list.options.every((option) => option.long !== "--limit")) list.option("--limit <n>", "at most this many; absent: all");
}
