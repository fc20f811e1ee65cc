import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { createLog } from "#lib/log/log.ts";
import { IdentityStore } from "../../host-agent/in/identity.ts";
import { join } from "../../host-agent/in/join.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { untilSignal } from "../up/signals.ts";

interface JoinOptions {
  internalEndpoint: string;
  joinTokenFile: string;
  name: string;
  substrateAddress: string;
  stateDir: string;
}

/** host join: run on the machine that becomes a host. */
export function addHostJoin(host: Command): void {
  host
    .command("join")
    .description("make this machine a host: its key and certificate go into the state directory of its agent")
    .requiredOption("--internal-endpoint <host:port>", "internal listener of the control plane")
    .requiredOption("--join-token-file <file>", "what `plenum host token --out` wrote")
    .requiredOption("--name <name>", "1 to 63 lower case letters, digits, hyphens; unique")
    .requiredOption("--substrate-address <ip>", "at which other hosts reach this one's tunnel")
    .option("--state-dir <dir>", "of the agent", "/var/lib/plenum-host")
    .addHelpText(
      "after",
      "\nA repeat with the same token is safe. The agent then runs with the same options, and those that say where other services are:\n  node host-agent/main.ts --state-dir … --internal-endpoint … --substrate-address … --name … [--mapping-endpoint …] [--api-endpoint …]\n\nExample:\n  plenum host join --internal-endpoint cp.example.net:7444 --substrate-address 192.0.2.11 --name h1 --join-token-file join.token",
    )
    .action(async (options: JoinOptions) => {
      const token = await readFile(options.joinTokenFile, "utf8").catch((error: unknown) => {
        throw new CliError(
          `the join token ${options.joinTokenFile} cannot be read: ${(error as Error).message}`,
          "name the file that `plenum host token --out` wrote",
          ExitCode.USAGE,
        );
      });
      const store = new IdentityStore(resolve(options.stateDir));
      const before = await store.load();
      if (before !== undefined)
        throw new CliError(`this machine is ${before.hostId} already`, `its identity is in ${options.stateDir}`, ExitCode.CONFLICT);
      const identity = await join({
        endpoint: options.internalEndpoint,
        token,
        name: options.name,
        substrateAddress: options.substrateAddress,
        store,
        log: createLog({ name: "join" }),
        signal: untilSignal().signal,
      });
      process.stdout.write(`joined as ${identity.hostId} in zone ${identity.zoneId}; identity in ${options.stateDir}\n`);
    });
}
