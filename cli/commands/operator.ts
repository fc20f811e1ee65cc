import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { CreateJoinTokenResponse, HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { LookupMappingResponse, MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { waitForOperation } from "../operation-wait.ts";
import { present, withSession } from "../session.ts";
import { auditEntries, drops, hosts, operations, targets } from "../tables.ts";
import type { Drop } from "../tables.ts";
import { duration, parseDuration, parsePast, parseWord } from "../values.ts";
import { addBarring } from "./host-bar.ts";

/** host (but join), mapping, operation, audit, drops. */
export function addOperatorCommands(program: Command, host: Command): void {
  addHosts(host);
  addCordoning(host);
  addBarring(host);
  addMapping(program.command("mapping").description("where addresses live (operator)"));
  addOperations(program.command("operation").description("long work and how far it is"));
  addAudit(program.command("audit").description("who did what, and whether it was allowed"));
  addDrops(program);
}

function addHosts(host: Command): void {
  host
    .command("token")
    .description("issue a one-time token by which a machine joins; it is shown once")
    .requiredOption("--zone <zone>", "the zone the host will be in")
    .option("--ttl <time>", "how long it is valid: 1m to 7d", "1h")
    .option("--out <file>", "write the token to a file (mode 0600) instead of printing it")
    .addHelpText("after", "\nExample:\n  plenum host token --zone zone-a --out join.token")
    .action(
      withSession(async (session, options: { zone: string; ttl: string; out?: string }) => {
        const answer = await session
          .client(HostServiceDefinition)
          .createJoinToken({ zoneId: options.zone, ttl: duration(parseDuration(options.ttl)) });
        if (options.out === undefined) return session.one(CreateJoinTokenResponse, answer);
        await writeFile(options.out, `${answer.token}\n`, { mode: 0o600 });
        session.say(`join token written to ${options.out}; valid until ${answer.expireTime?.toISOString() ?? "?"}`);
      }),
    );
  host
    .command("get <host>")
    .description("show one host")
    .action(
      withSession(async (session, hostId: string, _options: object) => {
        session.one(hosts, present((await session.client(HostServiceDefinition).getHost({ hostId })).host, "host"));
      }),
    );
  host
    .command("list")
    .description("list hosts")
    .option("--zone <zone>", "only of this zone", "")
    .action(
      withSession(async (session, options: { zone: string }) => {
        const client = session.client(HostServiceDefinition);
        session.list(
          hosts,
          await session.pages(
            (page) => client.listHosts({ ...page, zoneId: options.zone }),
            (answer) => answer.hosts,
          ),
        );
      }),
    );
}

/** cordon, uncordon. */
function addCordoning(host: Command): void {
  const set = (name: string, description: string, schedulable: boolean): void => {
    host
      .command(`${name} <host>`)
      .description(description)
      .addHelpText("after", `\nExample:\n  plenum host ${name} host-…`)
      .action(
        withSession(async (session, hostId: string, _options: object) => {
          const request = { requestId: session.requestId, host: { hostId, schedulable }, updateMask: ["schedulable"] };
          session.one(hosts, present((await session.client(HostServiceDefinition).updateHost(request)).host, "host"));
        }),
      );
  };
  set("cordon", "give it no new instances, for maintenance; what is on it stays", false);
  set("uncordon", "give it new instances again", true);
}

function addMapping(mapping: Command): void {
  mapping
    .command("lookup <network> <address>")
    .description("say on which host an address of a network lives; the number of a network is in `plenum vpc list`")
    .addHelpText("after", "\nExample:\n  plenum mapping lookup 1 10.0.1.10")
    .action(
      withSession(async (session, network: string, address: string, _options: object) => {
        if (!/^\d{1,19}$/.test(network))
          throw new CliError(`${JSON.stringify(network)} is not the number of a network`, "`plenum vpc list` shows it", ExitCode.USAGE);
        const answer = await session.client(MappingServiceDefinition).lookupMapping({ networkId: BigInt(network), address });
        session.say(
          `${answer.found ? "found" : "attached nowhere"} as of version ${answer.version} of network ${network}, VNI ${answer.vni}`,
        );
        if (session.json) return session.one(LookupMappingResponse, answer);
        if (answer.found) session.list(targets, answer.mapping?.targets ?? []);
      }),
    );
}

function addOperations(operation: Command): void {
  operation
    .command("get <operation>")
    .description("show one operation")
    .action(
      withSession(async (session, operationId: string, _options: object) => {
        session.one(
          operations,
          present((await session.client(OperationServiceDefinition).getOperation({ operationId })).operation, "operation"),
        );
      }),
    );
  operation
    .command("list")
    .description("list operations, newest first")
    .option("--subject <id>", "only about this resource", "")
    .action(
      withSession(async (session, options: { subject: string }) => {
        const client = session.client(OperationServiceDefinition);
        session.list(
          operations,
          await session.pages(
            (page) => client.listOperations({ ...page, subjectId: options.subject }),
            (answer) => answer.operations,
          ),
        );
      }),
    );
  operation
    .command("wait <operation>")
    .description("wait until an operation is done; exits non-zero if it fails or takes longer")
    .option("--timeout <time>", "wait at most this long", "30s")
    .action(
      withSession(async (session, operationId: string, options: { timeout: string }) => {
        session.one(
          operations,
          await waitForOperation(session.client(OperationServiceDefinition), operationId, parseDuration(options.timeout)),
        );
      }),
    );
}

interface AuditOptions {
  resource: string;
  principal: string;
  account: string;
  action: string;
  since?: string;
  until?: string;
  decision: string;
}

function addAudit(audit: Command): void {
  const decisions = { any: AuditDecision.UNSPECIFIED, allowed: AuditDecision.ALLOWED, refused: AuditDecision.REFUSED };
  audit
    .command("list")
    .description("list the newest entries")
    .option("--resource <id>", "only about this resource", "")
    .option("--principal <name>", "only by this caller", "")
    .option("--account <account>", "only by callers of this account", "")
    .option("--action <action>", "only this action", "")
    .option("--since <time>", "not older than this: 90s, 15m, 2h, 7d, or a time (2026-01-31T12:00:00Z)")
    .option("--until <time>", "older than this, in the same words")
    .option("--decision <decision>", `only these: ${Object.keys(decisions).join(", ")}`, "any")
    .option("--limit <n>", "at most this many", "50")
    .addHelpText(
      "after",
      "\nExample:\n  plenum audit list --since 1h --action nivc:AttachInterface\n  plenum audit list --decision refused --since 1d",
    )
    .action(
      withSession(async (session, options: AuditOptions) => {
        const client = session.client(AuditServiceDefinition);
        const filter = {
          resourceId: options.resource,
          principalId: options.principal,
          accountId: options.account,
          action: options.action,
          after: options.since === undefined ? undefined : parsePast(options.since, new Date()),
          before: options.until === undefined ? undefined : parsePast(options.until, new Date()),
          decision: parseWord(decisions, options.decision, "decision"),
        };
        session.list(
          auditEntries,
          await session.pages(
            (page) => client.listAuditEntries({ ...page, ...filter }),
            (answer) => answer.entries,
          ),
        );
      }),
    );
}

function addDrops(program: Command): void {
  program
    .command("drops [interface]")
    .description("packets that were dropped, by where and why (what you may see; hosts' own for an operator)")
    .addHelpText("after", "\nExample:\n  plenum drops\n  plenum drops web-eth0")
    .action(
      withSession(async (session, interfaceId: string | undefined, _options: object) => {
        const client = session.client(InterfaceServiceDefinition);
        if (interfaceId !== undefined) {
          const one = present((await client.getInterface({ interfaceId })).interface, "interface");
          return session.list(drops, rowsOf(interfaceId, one.traffic?.dropsByReason ?? {}));
        }
        const records = await session.pages(
          (page) => client.listInterfaces(page),
          (answer) => answer.interfaces,
        );
        const rows = records.flatMap((record) => rowsOf(record.interfaceId, record.traffic?.dropsByReason ?? {}));
        const hostClient = session.client(HostServiceDefinition);
        const all = await session
          .pages(
            (page) => hostClient.listHosts(page),
            (answer) => answer.hosts,
          )
          .catch((error: unknown) => {
            if (session.refused(error)) return []; // an account sees its own interfaces only
            throw error;
          });
        session.list(drops, [...rows, ...all.flatMap((host) => rowsOf(host.name, host.hostDropsByReason))]);
      }),
    );
}

function rowsOf(where: string, byReason: Readonly<Record<string, bigint>>): Drop[] {
  return Object.entries(byReason).map(([reason, packets]) => ({ where, reason, packets }));
}
