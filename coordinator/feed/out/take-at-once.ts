import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { isTransactionConflict } from "#lib/db/errors.ts";
import { publishHints } from "#lib/feed/feed.ts";
import type { AppendedChange } from "#lib/feed/feed.ts";
import { hostScope, judgeStatuses } from "../../interface/api.ts";
import type { AppliedOutcome, AttachmentRow, AttachmentSaid } from "../../interface/api.ts";
import { leavesHost } from "../../placement/api.ts";
import type { SessionVersions } from "../../placement/api.ts";
import { staleSession } from "./sessions.ts";

/** An attachment as it is before anybody has locked it, and what tells whether it is that still. */
interface SeenRow extends AttachmentRow {
  readonly seen: string;
  /** Null: there is no such instance. */
  readonly instance_seen: string | null;
  readonly instance_state: InstanceState | null;
  readonly residue: boolean;
}

interface Appended {
  readonly scope: string;
  readonly version: string;
  readonly mark: string;
  readonly prevMark: string;
}

/**
 * Take what a host says of attachments in two statements, each a transaction of its own: one reads what it is about, one writes what comes
 * of it, if nobody has changed that in between. Undefined, and nothing is written: it was changed, or more is to be done than this does (an
 * instance that leaves its host, a record that goes with its attachment, what was ended by force). ABORTED (STALE_SESSION).
 */
export async function takeAtOnce(
  { db, bus }: { readonly db: Kysely<unknown>; readonly bus: Bus },
  versions: SessionVersions,
  said: readonly AttachmentSaid[],
): Promise<AppliedOutcome | undefined> {
  const { hostId, epoch } = versions;
  const rows = await readSaid(db, said);
  const absent = new Set(said.filter((one) => one.state === AppliedState.ABSENT).map((one) => one.attachmentId));
  const instances = new Map<string, string>();
  for (const row of rows) {
    if (row.residue && absent.has(row.attachment_id)) return undefined;
    if (row.host_id !== hostId) continue;
    if (row.instance_seen === null || row.instance_state === null || leavesHost(row.instance_state)) return undefined;
    instances.set(row.instance_id, row.instance_seen);
  }
  const judged = judgeStatuses(hostId, rows, said);
  if (judged === undefined) return undefined;
  const networks = [...versions.networks];
  const written = await sql<{ outcome: "stale" | "moved" | "taken"; forgotten: bigint[] | null; appended: Appended[] | null }>`
    SELECT * FROM take_applied(
      ${hostId}, ${epoch}::bigint, ${versions.hostVersion}::bigint, ${networks.map(([id]) => id)}::bigint[], ${networks.map(([, version]) => version)}::bigint[],
      ${[...instances.keys()]}::text[], ${[...instances.values()]}::text[],
      ${rows.map((row) => row.attachment_id)}::text[], ${rows.map((row) => row.seen)}::text[], ${judged.changes}::jsonb,
      ${judged.rulesets.map(({ id }) => id)}::bigint[], ${judged.rulesets.map(({ payload }) => Buffer.from(payload))}::bytea[],
      ${judged.told.map(({ scope }) => scope)}::text[], ${judged.told.map(({ payload }) => Buffer.from(payload))}::bytea[])`
    .execute(db)
    .catch((error: unknown) => {
      if (isTransactionConflict(error)) return undefined;
      throw error;
    });
  const [answer] = written?.rows ?? [];
  if (answer?.outcome === "stale") throw staleSession(epoch);
  if (answer?.outcome !== "taken") return undefined;
  const forgotten = new Set((answer.forgotten ?? []).map(Number));
  const telling = judged.rulesets.filter(({ id }) => forgotten.has(id)).toSorted((a, b) => a.id - b.id);
  const payloads = new Map([
    ...judged.told.map(({ scope, payload }): [string, Uint8Array] => [scope, payload]),
    [hostScope(hostId), Buffer.concat(telling.map(({ payload }) => payload))],
  ]);
  const changes = (answer.appended ?? []).map(({ scope, ...numbers }): AppendedChange => {
    const [version, mark, prevMark] = [BigInt(numbers.version), BigInt(numbers.mark), BigInt(numbers.prevMark)];
    return { scope, version, prev: version - 1n, mark, prevMark, payload: payloads.get(scope) ?? new Uint8Array() };
  });
  publishHints(bus, changes);
  return judged;
}

async function readSaid(db: Kysely<unknown>, said: readonly AttachmentSaid[]): Promise<SeenRow[]> {
  const { rows } = await sql<SeenRow>`
    SELECT a.*, a.xmin::text AS seen, i.xmin::text AS instance_seen, i.state AS instance_state,
           EXISTS (SELECT FROM attachment_residue r WHERE r.attachment_id = a.attachment_id) AS residue
    FROM attachment a LEFT JOIN instance i USING (instance_id)
    WHERE a.attachment_id = ANY(${said.map((one) => one.attachmentId)}::text[])`.execute(db);
  return rows;
}
