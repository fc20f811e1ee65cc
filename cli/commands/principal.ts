import type { Command } from "commander";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { present, withSession } from "../session.ts";
import { principals } from "../tables.ts";
import { parseWord } from "../values.ts";

export const ROLES = { owner: Role.OWNER, member: Role.MEMBER, viewer: Role.VIEWER, operator: Role.OPERATOR };

const ACCOUNT = "the account; absent: your own, with an operator the installation's";

/** principal. */
export function addPrincipalCommands(program: Command): void {
  const principal = program.command("principal").description("principals: who speaks for an account");
  principal
    .command("create <name>")
    .description("make a principal; its tokens are never more than its role")
    .option("--account <account>", ACCOUNT, "")
    .option("--role <role>", "owner, member, viewer or operator", "owner")
    .option("--description <text>", "free text", "")
    .addHelpText("after", "\nExample:\n  plenum principal create robot --account acct-… --role viewer")
    .action(
      withSession(async (session, principalId: string, options: { account: string; role: string; description: string }) => {
        const answer = await session.client(PrincipalServiceDefinition).createPrincipal({
          requestId: session.requestId,
          accountId: await session.account(options.account),
          principalId,
          role: parseWord(ROLES, options.role, "role"),
          description: options.description,
        });
        session.one(principals, present(answer.principal, "principal"));
      }),
    );
  principal
    .command("get <name>")
    .description("show one principal")
    .option("--account <account>", ACCOUNT, "")
    .action(
      withSession(async (session, principalId: string, options: { account: string }) => {
        const answer = await session
          .client(PrincipalServiceDefinition)
          .getPrincipal({ accountId: await session.account(options.account), principalId });
        session.one(principals, present(answer.principal, "principal"));
      }),
    );
  principal
    .command("list")
    .description("list principals")
    .option("--account <account>", "only of this account", "")
    .action(
      withSession(async (session, options: { account: string }) => {
        const client = session.client(PrincipalServiceDefinition);
        session.list(
          principals,
          await session.pages(
            (page) => client.listPrincipals({ ...page, accountId: options.account }),
            (answer) => answer.principals,
          ),
        );
      }),
    );
  principal
    .command("update <name>")
    .description("change a principal's role or description; what is not named stays")
    .option("--account <account>", ACCOUNT, "")
    .option("--role <role>", "owner, member or viewer")
    .option("--description <text>", "free text")
    .addHelpText("after", "\nExample:\n  plenum principal update robot --account acct-… --role owner")
    .action(
      withSession(async (session, principalId: string, options: { account: string; role?: string; description?: string }) => {
        const { role, description } = options;
        const accountId = await session.account(options.account);
        const answer = await session.client(PrincipalServiceDefinition).updatePrincipal({
          requestId: session.requestId,
          principal: { accountId, principalId, role: role === undefined ? undefined : parseWord(ROLES, role, "role"), description },
          updateMask: [...(role === undefined ? [] : ["role"]), ...(description === undefined ? [] : ["description"])],
        });
        session.one(principals, present(answer.principal, "principal"));
      }),
    );
  addRevocation(principal);
}

/** revoke-tokens; disable and enable, the same but for the call. */
function addRevocation(principal: Command): void {
  principal
    .command("revoke-tokens <name>")
    .description("refuse every token that a principal has now (one leaked); new ones count")
    .option("--account <account>", ACCOUNT, "")
    .option("--with-issued", "also those of everybody for whom its tokens issued one, and of whom those did; lists whose")
    .addHelpText(
      "after",
      "\nExample:\n  plenum principal revoke-tokens robot --account acct-…\n  plenum token issue --account acct-… --principal robot --out robot.token",
    )
    .action(
      withSession(async (session, principalId: string, options: { account: string; withIssued?: true }) => {
        const { withIssued = false } = options;
        const accountId = await session.account(options.account);
        const request = { requestId: session.requestId, accountId, principalId, withIssued };
        const answer = await session.client(PrincipalServiceDefinition).revokeTokens(request);
        const revoked = present(answer.principal, "principal");
        if (withIssued) session.list(principals, [revoked, ...answer.issued]);
        else session.one(principals, revoked);
      }),
    );
  const calls = {
    disable: {
      description: "refuse all tokens of a principal from the next call on, and issue none",
      call: "disablePrincipal",
      example: "plenum principal disable robot --account acct-…",
    },
    enable: {
      description: "let a disabled principal speak again, with new tokens only",
      call: "enablePrincipal",
      example: "plenum principal enable robot --account acct-…",
    },
  } as const;
  for (const [name, { description, call, example }] of Object.entries(calls)) {
    principal
      .command(`${name} <name>`)
      .description(description)
      .option("--account <account>", ACCOUNT, "")
      .addHelpText("after", `\nExample:\n  ${example}`)
      .action(
        withSession(async (session, principalId: string, options: { account: string }) => {
          const { requestId } = session;
          const accountId = await session.account(options.account);
          const answer = await session.client(PrincipalServiceDefinition)[call]({ requestId, accountId, principalId });
          session.one(principals, present(answer.principal, "principal"));
        }),
      );
  }
}
