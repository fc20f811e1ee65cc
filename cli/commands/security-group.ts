import type { Command } from "commander";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { parseRule, RULE_SYNTAX } from "../rule.ts";
import { present, withSession } from "../session.ts";
import { securityGroups } from "../tables.ts";
import { collect } from "../values.ts";
import { addWaitOptions, waitFrom } from "../wait-options.ts";
import type { WaitOptions } from "../wait-options.ts";

const RULE_HELP = `\nA rule is ${RULE_SYNTAX}. Answers to what a rule allowed need no rule of their own.`;

/** sg. */
export function addSecurityGroupCommands(program: Command): void {
  const group = program.command("sg").description("security groups: what is allowed, in both directions");
  group
    .command("create <name>")
    .description("make a group in a VPC; without rules nothing passes")
    .requiredOption("--vpc <vpc>", "the VPC")
    .option("--description <text>", "free text", "")
    .option("--rule <rule>", "may be repeated", collect)
    .addHelpText(
      "after",
      `${RULE_HELP}\n\nExample:\n  plenum sg create web --vpc vpc-… --rule ingress:tcp:80:10.0.0.0/16 --rule egress:any:0.0.0.0/0`,
    )
    .action(
      withSession(async (session, name: string, options: { vpc: string; description: string; rule?: string[] }) => {
        const answer = await session.client(SecurityGroupServiceDefinition).createSecurityGroup({
          requestId: session.requestId,
          vpcId: options.vpc,
          name,
          description: options.description,
          rules: (options.rule ?? []).map(parseRule),
        });
        session.one(securityGroups, present(answer.securityGroup, "security_group"));
      }),
    );
  group
    .command("get <group>")
    .description("show one group")
    .action(
      withSession(async (session, securityGroupId: string, _options: object) => {
        const answer = await session.client(SecurityGroupServiceDefinition).getSecurityGroup({ securityGroupId });
        session.one(securityGroups, present(answer.securityGroup, "security_group"));
      }),
    );
  group
    .command("list")
    .description("list the groups that you may see")
    .option("--vpc <vpc>", "only of this VPC", "")
    .action(
      withSession(async (session, options: { vpc: string }) => {
        const client = session.client(SecurityGroupServiceDefinition);
        session.list(
          securityGroups,
          await session.pages(
            (page) => client.listSecurityGroups({ ...page, vpcId: options.vpc }),
            (answer) => answer.securityGroups,
          ),
        );
      }),
    );
  change(group, "rules <group> [rules...]", {
    description: "replace all rules of a group at once; none: nothing passes",
    call: "replaceSecurityGroupRules",
    example: "plenum sg rules sg-… ingress:icmp:10.0.0.0/8 egress:any:0.0.0.0/0",
  });
  change(group, "allow <group> <rules...>", {
    description: "add rules to those that a group has",
    call: "addSecurityGroupRules",
    example: "plenum sg allow sg-… ingress:tcp:443:0.0.0.0/0",
  });
  change(group, "revoke <group> <rules...>", {
    description: "take rules from those that a group has; connections that only they allowed end",
    call: "removeSecurityGroupRules",
    example: "plenum sg revoke sg-… ingress:tcp:443:0.0.0.0/0",
  });
  group
    .command("update <group>")
    .description("change what is named, and nothing else")
    .option("--name <name>", "for people")
    .option("--description <text>", "free text")
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", "\nExample:\n  plenum sg update sg-… --name web")
    .action(
      withSession(async (session, securityGroupId: string, options: { name?: string; description?: string; etag: string }) => {
        const updateMask = [...(options.name === undefined ? [] : ["name"]), ...(options.description === undefined ? [] : ["description"])];
        const { etag } = options;
        const answer = await session.client(SecurityGroupServiceDefinition).updateSecurityGroup({
          securityGroup: { securityGroupId, etag, name: options.name, description: options.description },
          updateMask,
          requestId: session.requestId,
        });
        session.one(securityGroups, present(answer.securityGroup, "security_group"));
      }),
    );
  group
    .command("delete <group>")
    .description("delete a group that no interface carries")
    .option("--etag <etag>", "only if it is still this version", "")
    .action(
      withSession(async (session, securityGroupId: string, options: { etag: string }) => {
        await session
          .client(SecurityGroupServiceDefinition)
          .deleteSecurityGroup({ requestId: session.requestId, securityGroupId, etag: options.etag });
        session.say(`${securityGroupId} deleted`);
      }),
    );
}

interface RuleChange {
  readonly description: string;
  readonly call: "replaceSecurityGroupRules" | "addSecurityGroupRules" | "removeSecurityGroupRules";
  readonly example: string;
}

/** rules, allow, revoke: the same but for the call. Others may allow and revoke at the same time: nobody's change is lost. */
function change(group: Command, usage: string, { description, call, example }: RuleChange): void {
  const command = group
    .command(usage)
    .description(description)
    .option("--etag <etag>", "only if it is still this version", "")
    .addHelpText("after", `${RULE_HELP}\n\nExample:\n  ${example}`)
    .action(
      withSession(async (session, securityGroupId: string, rules: string[], options: WaitOptions & { etag: string }) => {
        const answer = await session.client(SecurityGroupServiceDefinition)[call]({
          requestId: session.requestId,
          securityGroupId,
          rules: rules.map(parseRule),
          etag: options.etag,
          ...waitFrom(options),
        });
        session.one(securityGroups, present(answer.securityGroup, "security_group"));
      }),
    );
  addWaitOptions(command);
}
