import type { Command } from "commander";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { present, withSession } from "../session.ts";
import { hosts } from "../tables.ts";

/** bar, unbar, delete: for a host that is not to be believed, or never comes back. */
export function addBarring(host: Command): void {
  host
    .command("bar <host>")
    .description("take nothing from it any more: a machine that is stolen, broken into or lost; what is on it stays until forced off")
    .requiredOption("--reason <text>", "why, for operators; kept with the host and in the audit")
    .addHelpText(
      "after",
      '\nExample:\n  plenum host bar h2 --reason "its disk was copied"\n  plenum instance stop web --force      # for each instance on it; then\n  plenum host delete h2',
    )
    .action(
      withSession(async (session, hostId: string, { reason }: { reason: string }) => {
        const request = { requestId: session.requestId, hostId, reason };
        session.one(hosts, present((await session.client(HostServiceDefinition).barHost(request)).host, "host"));
      }),
    );
  host
    .command("unbar <host>")
    .description("let a barred host connect again, with the key that it had: delete it if that may be in other hands")
    .addHelpText("after", "\nExample:\n  plenum host unbar h2")
    .action(
      withSession(async (session, hostId: string, _options: object) => {
        const request = { requestId: session.requestId, hostId };
        session.one(hosts, present((await session.client(HostServiceDefinition).unbarHost(request)).host, "host"));
      }),
    );
  host
    .command("delete <host>")
    .description("forget a barred host on which nothing is any more; it never comes back")
    .addHelpText("after", "\nExample:\n  plenum host delete h2")
    .action(
      withSession(async (session, hostId: string, _options: object) => {
        await session.client(HostServiceDefinition).deleteHost({ requestId: session.requestId, hostId });
        session.say(`${hostId} deleted`);
      }),
    );
}
