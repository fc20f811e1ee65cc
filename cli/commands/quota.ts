import type { Command } from "commander";
import { QuotaServiceDefinition } from "#gen/plenum/identity/v1/quota.ts";
import { CliError, ExitCode } from "../cli-error.ts";
import { present, withSession } from "../session.ts";
import { quotas } from "../tables.ts";

/** A limit as it was typed; undefined: the installation's. */
function parseMaximum(text: string): bigint | undefined {
  if (text === "default") return undefined;
  if (/^\d{1,10}$/.test(text)) return BigInt(text);
  throw new CliError(`${JSON.stringify(text)} is not a limit`, "give a number, or `default` for the installation's", ExitCode.USAGE);
}

/** account quota. */
export function addQuotaCommands(account: Command): void {
  const quota = account.command("quota").description("how much an account may have");
  quota
    .command("list <account>")
    .description("list an account's quotas and what it uses of them")
    .addHelpText("after", "\nExample:\n  plenum account quota list acct-…")
    .action(
      withSession(async (session, accountId: string, _options: object) => {
        session.list(quotas, (await session.client(QuotaServiceDefinition).getQuotas({ accountId })).quotas);
      }),
    );
  quota
    .command("set <account> <quota> <maximum>")
    .description("give an account a limit of its own, or `default` again (operator)")
    .addHelpText("after", "\nExample:\n  plenum account quota set acct-… vpcs 500\n  plenum account quota set acct-… vpcs default")
    .action(
      withSession(async (session, accountId: string, name: string, maximum: string, _options: object) => {
        const answer = await session
          .client(QuotaServiceDefinition)
          .setQuota({ requestId: session.requestId, accountId, name, maximum: parseMaximum(maximum) });
        session.one(quotas, present(answer.quota, "quota"));
      }),
    );
}
