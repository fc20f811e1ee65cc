import { readFile } from "node:fs/promises";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Tried in this order: "postgres" where the machine has it, else the account that exists everywhere and owns nothing. */
const CANDIDATES = ["postgres", "nobody"];

/** An unprivileged account with a passwd entry: initdb refuses root, and refuses a uid that has no entry. */
export async function unprivilegedAccount(passwdFile = "/etc/passwd"): Promise<Account> {
  const entries = new Map<string, Account>();
  for (const line of (await readFile(passwdFile, "utf8")).split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name && uid && gid) entries.set(name, { name, uid: Number(uid), gid: Number(gid) });
  }
  for (const candidate of CANDIDATES) {
    const account = entries.get(candidate);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new Error(`${passwdFile} has none of ${CANDIDATES.join(", ")}: PostgreSQL needs an unprivileged account to run as`);
}
