import type { Command } from "commander";
import { InstanceDriver, InstanceServiceDefinition, InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import type { Operation } from "#gen/plenum/operation/v1/operation.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { waitForOperation } from "../operation-wait.ts";
import { present, withSession } from "../session.ts";
import type { Session } from "../session.ts";
import { instances } from "../tables.ts";
import { collect, parseDuration, parsePairs, parseWord } from "../values.ts";

const STATES = {
  pending: InstanceState.PENDING,
  running: InstanceState.RUNNING,
  stopping: InstanceState.STOPPING,
  stopped: InstanceState.STOPPED,
  terminating: InstanceState.TERMINATING,
  terminated: InstanceState.TERMINATED,
};

interface RunOptions {
  owner: string;
  name: string;
  subnet?: string[];
  group?: string[];
  interface?: string[];
  zone: string;
  host: string;
  stopped: boolean;
  env?: string[];
  tag?: string[];
  wait: boolean;
  timeout: string;
  actsAs: string;
}

/** instance. */
export function addInstanceCommands(program: Command): void {
  const instance = program.command("instance").description("instances: what interfaces are attached to");
  addRun(instance);
  instance
    .command("get <instance>")
    .description("show one instance")
    .action(
      withSession(async (session, instanceId: string, _options: object) => {
        session.one(instances, await read(session, instanceId));
      }),
    );
  instance
    .command("list")
    .description("list the instances that you may see")
    .option("--owner <account>", "only of this account", "")
    .option("--host <host>", "only on this host (operator)", "")
    .option("--state <state>", `only in this state: ${Object.keys(STATES).join(", ")}`)
    .option("--zone <zone>", "only those that must be in this zone", "")
    .option("--name <name>", "only of just this name", "")
    .action(
      withSession(async (session, options: { owner: string; host: string; state?: string; zone: string; name: string }) => {
        const client = session.client(InstanceServiceDefinition);
        const state = options.state === undefined ? undefined : parseWord(STATES, options.state, "state");
        const filter = { ownerAccount: options.owner, hostId: options.host, state, zoneId: options.zone, name: options.name };
        session.list(
          instances,
          await session.pages(
            (page) => client.listInstances({ ...page, ...filter }),
            (answer) => answer.instances,
          ),
        );
      }),
    );
  instance
    .command("update <instance>")
    .description("change what is named, and nothing else")
    .option("--name <name>", "for people")
    .option("--tag <key=value>", "the new tags, whole; may be repeated", collect)
    .option("--acts-as <principal>", 'principal of its account as whom its processes may call this API; "": nobody')
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExamples:\n  plenum instance update i-… --name web-1\n  plenum instance update i-… --acts-as robot")
    .action(
      withSession(async (session, instanceId: string, options: { name?: string; tag?: string[]; actsAs?: string; etag: string }) => {
        const { name, tag, actsAs, etag } = options;
        const given = { name, tags: tag, acts_as: actsAs };
        const updateMask = Object.entries(given).flatMap(([field, value]) => (value === undefined ? [] : [field]));
        const answer = await session.client(InstanceServiceDefinition).updateInstance({
          requestId: session.requestId,
          instance: { instanceId, etag, name, tags: parsePairs(tag ?? []), actsAs },
          updateMask,
        });
        session.one(instances, present(answer.instance, "instance"));
      }),
    );
  addChange(instance, "start", "start a stopped instance", (session, instanceId) =>
    session.client(InstanceServiceDefinition).startInstance({ requestId: session.requestId, instanceId }),
  );
  const stop = addChange(instance, "stop", "stop an instance; its interfaces stay attached", (session, instanceId, force) =>
    session.client(InstanceServiceDefinition).stopInstance({ requestId: session.requestId, instanceId, force }),
  );
  const terminate = addChange(instance, "terminate", "end an instance for good", (session, instanceId, force) =>
    session.client(InstanceServiceDefinition).terminateInstance({ requestId: session.requestId, instanceId, force }),
  );
  for (const command of [stop, terminate])
    command.option("--force", "do not wait for a host whose lease has ended, or that is barred", false);
}

async function read(session: Session, instanceId: string): Promise<Instance> {
  return present((await session.client(InstanceServiceDefinition).getInstance({ instanceId })).instance, "instance");
}

/** Waits for the host where asked to, then shows the instance as it is. */
async function show(
  session: Session,
  answer: { instance?: Instance; operation?: Operation },
  options: { wait: boolean; timeout: string },
): Promise<void> {
  const instance = present(answer.instance, "instance");
  if (!options.wait) return session.one(instances, instance);
  const operationId = present(answer.operation, "operation").operationId;
  const done = await waitForOperation(session.client(OperationServiceDefinition), operationId, parseDuration(options.timeout));
  if (done.message !== "") session.say(done.message);
  const now = await read(session, instance.instanceId);
  session.one(instances, now);
  const ended = now.conditions.find((condition) => condition.reason === "ProcessEnded" && !condition.message.includes("exit code 0"));
  if (now.state === InstanceState.RUNNING && ended !== undefined) {
    const remedy = "look at what it is to run (argv); the instance and its interfaces stay until `plenum instance terminate`";
    throw new CliError(ended.message, remedy);
  }
}

function addRun(instance: Command): void {
  instance
    .command("run [argv...]")
    .description("make an instance with its interfaces and start it; argv (after --) is the program to run in it")
    .option("--subnet <subnet>", "make an interface in this subnet; may be repeated", collect)
    .option("--group <sg>", "groups of the interfaces that are made; may be repeated", collect)
    .option("--interface <eni>", "attach this existing interface; may be repeated", collect)
    .option("--zone <zone>", "the zone it must be in; empty: any", "")
    .option("--host <host>", "exactly this host (operator)", "")
    .option("--name <name>", "for people", "")
    .option("--owner <account>", "the account that will own it; an operator must name it", "")
    .option("--env <key=value>", "environment of the program; may be repeated", collect)
    .option("--tag <key=value>", "may be repeated", collect)
    .option("--acts-as <principal>", "principal of its account as whom its processes may call this API (/run/plenum/api.sock)", "")
    .option("--stopped", "make it, do not start it", false)
    .option("--no-wait", "do not wait until it runs")
    .option("--timeout <time>", "wait at most this long", "30s")
    .addHelpText(
      "after",
      "\nExamples:\n  plenum instance run --name web --subnet subnet-… --group sg-… -- python3 -m http.server 80\n  plenum instance run --interface eni-… --zone zone-a",
    )
    .action(
      withSession(async (session, argv: string[], options: RunOptions) => {
        const existing = (options.interface ?? []).map((value) => ({ source: { $case: "interfaceId" as const, value } }));
        const made = (options.subnet ?? []).map((subnetId) => ({
          source: { $case: "create" as const, value: { subnetId, securityGroupIds: options.group ?? [] } },
        }));
        if (made.length === 0 && (options.group ?? []).length > 0) {
          throw new CliError(
            "--group is for interfaces that are made here",
            "name a --subnet, or change the interface with `plenum eni update`",
            ExitCode.USAGE,
          );
        }
        if (argv.length === 0 && (options.env ?? []).length > 0)
          throw new CliError("--env is for a program that runs in the instance", "name it after --, as in: -- sleep 60", ExitCode.USAGE);
        const answer = await session.client(InstanceServiceDefinition).runInstance({
          requestId: session.requestId,
          ownerAccount: options.owner,
          name: options.name,
          driver: InstanceDriver.NETNS,
          process: argv.length === 0 ? undefined : { argv, env: parsePairs(options.env ?? []) },
          zoneId: options.zone,
          hostId: options.host,
          interfaces: [...existing, ...made],
          stopped: options.stopped,
          tags: parsePairs(options.tag ?? []),
          actsAs: options.actsAs,
        });
        await show(session, answer, options);
      }),
    );
}

function addChange(
  instance: Command,
  verb: string,
  description: string,
  call: (session: Session, instanceId: string, force: boolean) => Promise<{ instance?: Instance; operation?: Operation }>,
): Command {
  return instance
    .command(`${verb} <instance>`)
    .description(description)
    .option("--no-wait", "do not wait for the host")
    .option("--timeout <time>", "wait at most this long", "30s")
    .action(
      withSession(async (session, instanceId: string, options: { wait: boolean; timeout: string; force?: boolean }) => {
        await show(session, await call(session, instanceId, options.force ?? false), options);
      }),
    );
}
