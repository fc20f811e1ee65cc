import { sql } from "kysely";
import type { Tx, WriteCall } from "../call/api.ts";
import { NAMED_BLOCKERS } from "../network/api.ts";
import type { Blockers } from "../network/api.ts";
import { awaitedHosts } from "./core/force.ts";
import { told } from "./out/attachment-store.ts";
import { observe } from "./out/reach.ts";
import { dropResidue, residueOnHost, residueVersions } from "./out/residue-store.ts";
import type { InstanceDirectory } from "./ports.ts";

/** Attachments that a host carries or has not let go of: they keep its record. */
export async function carriedOn(tx: Tx, hostId: string): Promise<Blockers> {
  const { rows } = await sql<{ attachment_id: string; attachment_owner: string; count: number }>`
    SELECT attachment_id, attachment_owner, (count(*) OVER ())::int AS count FROM attachment
    WHERE host_id = ${hostId} AND state <> 4 ORDER BY attachment_id LIMIT ${NAMED_BLOCKERS}`.execute(tx);
  const named = rows.map((row) => ({
    ...{ kind: "attachment", id: row.attachment_id, ownerAccount: row.attachment_owner },
    remedy: "detach it by force",
  }));
  return { named, more: (rows[0]?.count ?? 0) - named.length };
}

/**
 * Hosts within their lease that, as far as is known, may still take packets of what was forced off this host: those that have not said in
 * their present session that they are past it. When it ended they all had (C7); one that was silent then must have caught up.
 */
export async function awaitedForResidue(tx: Tx, directory: InstanceDirectory, hostId: string): Promise<string[]> {
  const rows = (await residueOnHost(tx, hostId)).map((row) => ({ ...row, host_id: hostId }));
  const versions = await residueVersions(tx, hostId);
  const seen = await observe(tx, directory, rows);
  const awaited = [...seen.networks].flatMap(([networkId, { watchers, level }]) =>
    awaitedHosts(hostId, watchers, versions.get(networkId) ?? level),
  );
  return [...new Set(awaited)].toSorted();
}

/** The host is gone for good: what it may still have of attachments is nobody's to await. Answers those attachments. */
export async function forgetResidue(call: WriteCall, hostId: string): Promise<string[]> {
  const rows = await residueOnHost(call.tx, hostId);
  await dropResidue(call.tx, hostId);
  told(call, rows);
  return rows.map((row) => row.attachment_id);
}
