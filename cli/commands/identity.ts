import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { IssueTokenResponse, TokenServiceDefinition, WhoAmIResponse } from "#gen/plenum/identity/v1/token.ts";
import { ROLES } from "./principal.ts";
import { addQuotaCommands } from "./quota.ts";
import { present, withSession } from "../session.ts";
import { accounts } from "../tables.ts";
import { duration, parseDuration, parseWord } from "../values.ts";

/** account, token, whoami. */
export function addIdentityCommands(program: Command): void {
  const account = program.command("account").description("accounts: who owns and pays");
  account
    .command("create <name>")
    .description("make an account (operator)")
    .option("--description <text>", "free text", "")
    .addHelpText("after", "\nExample:\n  plenum account create acme")
    .action(
      withSession(async (session, name: string, options: { description: string }) => {
        const answer = await session
          .client(AccountServiceDefinition)
          .createAccount({ requestId: session.requestId, name, description: options.description });
        session.one(accounts, present(answer.account, "account"));
      }),
    );
  account
    .command("get <account>")
    .description("show one account")
    .action(
      withSession(async (session, accountId: string, _options: object) => {
        session.one(accounts, present((await session.client(AccountServiceDefinition).getAccount({ accountId })).account, "account"));
      }),
    );
  account
    .command("suspend <account>")
    .description("refuse all calls of an account's principals, and by its consents, until it is resumed; what it runs goes on (operator)")
    .addHelpText("after", "\nExample:\n  plenum account suspend acct-…")
    .action(
      withSession(async (session, accountId: string, _options: object) => {
        session.one(
          accounts,
          present(
            (await session.client(AccountServiceDefinition).suspendAccount({ requestId: session.requestId, accountId })).account,
            "account",
          ),
        );
      }),
    );
  account
    .command("resume <account>")
    .description("take the calls of a suspended account again (operator)")
    .addHelpText("after", "\nExample:\n  plenum account resume acct-…")
    .action(
      withSession(async (session, accountId: string, _options: object) => {
        session.one(
          accounts,
          present(
            (await session.client(AccountServiceDefinition).resumeAccount({ requestId: session.requestId, accountId })).account,
            "account",
          ),
        );
      }),
    );
  account
    .command("list")
    .description("list the accounts that you may see")
    .action(
      withSession(async (session, _options: object) => {
        const client = session.client(AccountServiceDefinition);
        session.list(
          accounts,
          await session.pages(
            (page) => client.listAccounts(page),
            (answer) => answer.accounts,
          ),
        );
      }),
    );

  addQuotaCommands(account);

  const token = program.command("token").description("bearer tokens");
  token
    .command("issue")
    .description("issue a token; it is shown once (who is no owner: for itself only)")
    .option("--account <account>", "the account to speak for; absent: your own", "")
    .requiredOption("--principal <name>", "who speaks, for the audit")
    .option("--role <role>", "owner, member, viewer or operator", "owner")
    .option("--ttl <time>", "how long it is valid: 1m to 90d", "1d")
    .option("--out <file>", "write the token to a file (mode 0600) instead of printing it")
    .addHelpText(
      "after",
      "\nExample:\n  plenum token issue --account acct-… --principal alice --out alice.token\n  plenum --token-file alice.token whoami",
    )
    .action(
      withSession(async (session, options: { account: string; principal: string; role: string; ttl: string; out?: string }) => {
        const answer = await session.client(TokenServiceDefinition).issueToken({
          accountId: await session.account(options.account),
          principalId: options.principal,
          role: parseWord(ROLES, options.role, "role"),
          ttl: duration(parseDuration(options.ttl)),
        });
        if (options.out === undefined) return session.one(IssueTokenResponse, answer);
        await writeFile(options.out, `${answer.token}\n`, { mode: 0o600 });
        session.say(`token written to ${options.out}; valid until ${answer.expireTime?.toISOString() ?? "?"}`);
      }),
    );

  program
    .command("whoami")
    .description("say who the token speaks for")
    .action(
      withSession(async (session, _options: object) => {
        session.one(WhoAmIResponse, await session.client(TokenServiceDefinition).whoAmI({}));
      }),
    );
}
