import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../rules/repository.ts";
import type { Clients, Installation } from "./installation.ts";
import { plainEnvironment } from "./launcher.ts";
import { run } from "./run.ts";
import type { Outcome } from "./run.ts";

/** An account's owner, by calls and from the command line. */
export interface Person {
  readonly accountId: string;
  readonly clients: Clients;
  /** The command line as this account's owner; answers standard output and the exit code. */
  plenum(...args: string[]): Promise<Outcome>;
}

/** Makes people whose tokens are files, as the command line wants them. */
export interface People {
  person(name: string): Promise<Person>;
  /** Removes the files. */
  forget(): void;
}

export function peopleOf(at: Installation): People {
  const files = mkdtempSync(join(tmpdir(), "plenum-a-"));
  writeFileSync(join(files, "ca.pem"), at.cluster.ca);
  return {
    async person(name) {
      const { accountId, token, clients } = await at.account(name);
      const tokenFile = join(files, `${name}.token`);
      writeFileSync(tokenFile, token);
      const as = ["--endpoint", at.cluster.endpoint, "--ca-file", join(files, "ca.pem"), "--token-file", tokenFile];
      return {
        accountId,
        clients,
        plenum: (...args) =>
          run(process.execPath, [join(root, "cli/main.ts"), ...as, ...args], { env: plainEnvironment(), timeoutMs: 60_000 }),
      };
    },
    forget: () => rmSync(files, { recursive: true, force: true }),
  };
}
