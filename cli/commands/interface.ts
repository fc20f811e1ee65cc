import { Option } from "commander";
import type { Command } from "commander";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { present, withSession } from "../session.ts";
import { attachments, interfaces } from "../tables.ts";
import { addInterfaceWatch } from "./interface-watch.ts";
import { collect, ON_OFF, parseNumber, parsePairs, parseWord } from "../values.ts";
import { addWaitOptions, waitFrom } from "../wait-options.ts";
import type { WaitOptions } from "../wait-options.ts";
import { accessOf, addAccessCommand, addAccessOptions } from "./interface-access.ts";
import type { AccessOptions } from "./interface-access.ts";
import { addFilterOptions, filterOf } from "./interface-filter.ts";
import type { FilterOptions } from "./interface-filter.ts";

interface CreateOptions extends AccessOptions {
  subnet: string;
  address?: string[];
  group?: string[];
  name: string;
  description: string;
  tag?: string[];
  sourceDestCheck: boolean;
  payer: string;
  dns?: string[];
}
interface UpdateOptions extends WaitOptions {
  name?: string;
  description?: string;
  group?: string[];
  tag?: string[];
  sourceDestCheck?: string;
  dns?: string[];
  disabled?: boolean;
  enabled?: boolean;
  etag: string;
}

/** eni (interface), attachment. */
export function addInterfaceCommands(program: Command): void {
  const eni = program
    .command("eni")
    .alias("interface")
    .description("interface records: addresses and security that move between instances");
  addRecords(eni);
  addInterfaceWatch(eni);
  addUpdate(eni);
  addAddresses(eni);
  addAccessCommand(eni);
  addAttaching(eni);
  addAttachments(program.command("attachment").description("interfaces on instances"));
}

function addRecords(eni: Command): void {
  const create = eni
    .command("create")
    .description("make a record, attached to nothing")
    .requiredOption("--subnet <subnet>", "where its addresses are from")
    .option("--address <ip>", "may be repeated; none: one is picked", collect)
    .option("--group <sg>", "may be repeated; none: the VPC's default group", collect)
    .option("--name <name>", "for people", "")
    .option("--description <text>", "free text", "")
    .option("--tag <key=value>", "may be repeated", collect)
    .option("--no-source-dest-check", "let the instance route for others")
    .option("--dns <ip>", "a DNS server for the guest; may be repeated, at most 4", collect)
    .option("--payer <account>", "who pays; empty: the account of the subnet", "")
    .addHelpText("after", "\nExample:\n  plenum eni create --subnet subnet-… --address 10.0.1.10 --group sg-…")
    .action(
      withSession(async (session, options: CreateOptions) => {
        const answer = await session.client(InterfaceServiceDefinition).createInterface({
          requestId: session.requestId,
          spec: {
            subnetId: options.subnet,
            privateAddresses: options.address ?? [],
            securityGroupIds: options.group ?? [],
            name: options.name,
            description: options.description,
            tags: parsePairs(options.tag ?? []),
            sourceDestCheck: options.sourceDestCheck,
            payerAccount: options.payer,
            access: accessOf(options),
            dnsServers: options.dns ?? [],
          },
        });
        session.one(interfaces, present(answer.interface, "interface"));
      }),
    );
  addAccessOptions(create);
  eni
    .command("get <interface>")
    .description("show one record")
    .action(
      withSession(async (session, interfaceId: string, _options: object) => {
        session.one(
          interfaces,
          present((await session.client(InterfaceServiceDefinition).getInterface({ interfaceId })).interface, "interface"),
        );
      }),
    );
  const list = eni.command("list").description("list the records that you may see");
  addFilterOptions(list, "only of this account").action(
    withSession(async (session, options: FilterOptions) => {
      const client = session.client(InterfaceServiceDefinition);
      const filter = filterOf(options);
      session.list(
        interfaces,
        await session.pages(
          (page) => client.listInterfaces({ ...page, filter }),
          (answer) => answer.interfaces,
        ),
      );
    }),
  );
  eni
    .command("delete <interface>")
    .description("delete a record that is attached to nothing")
    .option("--etag <etag>", "only if it is still this version", "")
    .action(
      withSession(async (session, interfaceId: string, options: { etag: string }) => {
        await session.client(InterfaceServiceDefinition).deleteInterface({
          requestId: session.requestId,
          interfaceId,
          etag: options.etag,
        });
        session.say(`${interfaceId} deleted`);
      }),
    );
}

function addUpdate(eni: Command): void {
  const update = eni
    .command("update <interface>")
    .description("change what is named, and nothing else")
    .option("--name <name>", "for people")
    .option("--description <text>", "free text")
    .option("--group <sg>", "the new groups, whole; may be repeated", collect)
    .option("--tag <key=value>", "the new tags, whole; may be repeated", collect)
    .option("--source-dest-check <on|off>", "off: the instance may route for others")
    .option("--dns <ip>", "the new DNS servers, whole; may be repeated; '' for none", collect)
    .addOption(new Option("--disabled", "drop every packet of and for it; it stays attached").conflicts("enabled"))
    .option("--enabled", "let its packets pass again")
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExample:\n  plenum eni update eni-… --group sg-… --description 'web server'")
    .action(
      withSession(async (session, interfaceId: string, options: UpdateOptions) => {
        const check = options.sourceDestCheck;
        const updateMask = [
          ...(options.name === undefined ? [] : ["name"]),
          ...(options.description === undefined ? [] : ["description"]),
          ...(options.group === undefined ? [] : ["security_group_ids"]),
          ...(options.tag === undefined ? [] : ["tags"]),
          ...(check === undefined ? [] : ["source_dest_check"]),
          ...(options.dns === undefined ? [] : ["dns_servers"]),
          ...(options.disabled === true || options.enabled === true ? ["disabled"] : []),
        ];
        const answer = await session.client(InterfaceServiceDefinition).updateInterface({
          interface: {
            interfaceId,
            etag: options.etag,
            name: options.name,
            description: options.description,
            securityGroupIds: options.group,
            tags: parsePairs(options.tag ?? []),
            disabled: options.disabled === true,
            dnsServers: options.dns?.filter((server) => server !== ""),
            sourceDestCheck: check === undefined ? undefined : parseWord(ON_OFF, check, "switch"),
          },
          updateMask,
          requestId: session.requestId,
          ...waitFrom(options),
        });
        session.one(interfaces, present(answer.interface, "interface"));
      }),
    );
  addWaitOptions(update);
}

function addAddresses(eni: Command): void {
  const command = eni
    .command("addresses <interface> [addresses...]")
    .description("give a record other addresses of its subnet, all at once; none: one is picked")
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExample:\n  plenum eni addresses eni-… 10.0.1.20 10.0.1.21")
    .action(
      withSession(async (session, interfaceId: string, privateAddresses: string[], options: WaitOptions & { etag: string }) => {
        const { requestId } = session;
        const answer = await session
          .client(InterfaceServiceDefinition)
          .setAddresses({ requestId, interfaceId, privateAddresses, etag: options.etag, ...waitFrom(options) });
        session.one(interfaces, present(answer.interface, "interface"));
      }),
    );
  addWaitOptions(command);
}

function addAttaching(eni: Command): void {
  const attach = eni
    .command("attach <interface> <instance>")
    .description("attach a record to an instance")
    .option("--device-index <n>", "0 to 14; absent: the lowest free one")
    .option("--delete-on-terminate", "delete the record when the instance is terminated", false)
    .addHelpText("after", "\nExample:\n  plenum eni attach eni-… i-… --wait reachable")
    .action(
      withSession(
        async (
          session,
          interfaceId: string,
          instanceId: string,
          options: WaitOptions & { deviceIndex?: string; deleteOnTerminate: boolean },
        ) => {
          const answer = await session.client(InterfaceServiceDefinition).attachInterface({
            requestId: session.requestId,
            spec: {
              interfaceId,
              instanceId,
              deviceIndex: options.deviceIndex === undefined ? undefined : parseNumber(options.deviceIndex, 0, 14, "device index"),
              deleteOnTerminate: options.deleteOnTerminate,
            },
            ...waitFrom(options),
          });
          session.one(attachments, present(answer.attachment, "attachment"));
        },
      ),
    );
  addWaitOptions(attach);
  const detach = eni
    .command("detach [attached]")
    .description("end attachments: of an interface (its name or id), one (eni-attach-…), or all of an instance (i-…)")
    .option("--instance <instance>", "all of this instance")
    .option("--force", "do not wait for a host whose lease has ended, or that is barred: the others refuse its packets", false)
    .addHelpText("after", "\nExamples:\n  plenum eni detach web-eth0\n  plenum eni detach --instance web-1 --force")
    .action(
      withSession(async (session, id: string | undefined, options: WaitOptions & { force: boolean; instance?: string }) => {
        const answer = await session.client(InterfaceServiceDefinition).detachInterface({
          requestId: session.requestId,
          force: options.force,
          target: detachTarget(id, options.instance),
          ...waitFrom(options),
        });
        session.list(attachments, answer.attachments);
      }),
    );
  addWaitOptions(detach);
}

type DetachTarget = { $case: "interfaceId" | "attachmentId" | "instanceId"; value: string };

/** @throws CliError unless just one of the two is given */
function detachTarget(id: string | undefined, instanceId: string | undefined): DetachTarget {
  if ((id === undefined) === (instanceId === undefined))
    throw new CliError(
      "detach takes one thing",
      "name an interface or an attachment, or --instance for all of an instance",
      ExitCode.USAGE,
    );
  if (id === undefined || id.startsWith("i-")) return { $case: "instanceId", value: instanceId ?? id ?? "" };
  return { $case: id.startsWith("eni-attach-") ? "attachmentId" : "interfaceId", value: id };
}

function addAttachments(attachment: Command): void {
  attachment
    .command("get <attachment>")
    .description("show one attachment")
    .action(
      withSession(async (session, attachmentId: string, _options: object) => {
        const answer = await session.client(InterfaceServiceDefinition).getAttachment({ attachmentId });
        session.one(attachments, present(answer.attachment, "attachment"));
      }),
    );
  attachment
    .command("update <attachment>")
    .description("change what is named, and nothing else")
    .requiredOption("--delete-on-terminate <on|off>", "on: delete the record when the instance is terminated")
    .addHelpText("after", "\nExample:\n  plenum attachment update eni-attach-… --delete-on-terminate off")
    .action(
      withSession(async (session, attachmentId: string, options: { deleteOnTerminate: string }) => {
        const answer = await session.client(InterfaceServiceDefinition).updateAttachment({
          requestId: session.requestId,
          attachment: { attachmentId, deleteOnTerminate: parseWord(ON_OFF, options.deleteOnTerminate, "switch") },
          updateMask: ["delete_on_terminate"],
        });
        session.one(attachments, present(answer.attachment, "attachment"));
      }),
    );
  attachment
    .command("list")
    .description("list attachments that are not DETACHED")
    .option("--interface <interface>", "only of this interface", "")
    .option("--instance <instance>", "only of this instance", "")
    .action(
      withSession(async (session, options: { interface: string; instance: string }) => {
        const client = session.client(InterfaceServiceDefinition);
        const filter = { interfaceId: options.interface, instanceId: options.instance };
        session.list(
          attachments,
          await session.pages(
            (page) => client.listAttachments({ ...page, ...filter }),
            (answer) => answer.attachments,
          ),
        );
      }),
    );
}
