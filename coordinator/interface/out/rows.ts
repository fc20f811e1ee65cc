import type { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Carried } from "../core/items.ts";

/** A row of `interface`. */
export interface InterfaceRow {
  readonly interface_id: string;
  readonly owner_account: string;
  readonly payer_account: string;
  readonly created_by: string;
  readonly vpc_id: string;
  readonly subnet_id: string;
  readonly zone_id: string;
  readonly network_id: bigint;
  readonly vni: bigint;
  readonly addresses: readonly string[];
  readonly gateway: string;
  readonly security_group_ids: readonly string[];
  readonly group_set_id: bigint;
  readonly name: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly source_dest_check: boolean;
  readonly dns_servers: readonly string[];
  readonly disabled: boolean;
  readonly generation: bigint;
  readonly row_version: bigint;
  readonly create_time: Date;
}

/** A row of `attachment`. */
export interface AttachmentRow {
  readonly attachment_id: string;
  readonly interface_id: string;
  readonly interface_owner: string;
  readonly instance_id: string;
  readonly instance_owner: string;
  readonly attachment_owner: string;
  readonly created_by: string;
  readonly detached_by: string;
  readonly device_index: number;
  readonly delete_on_terminate: boolean;
  readonly delete_when_detached: boolean;
  readonly state: AttachmentState;
  readonly wanted: Wanted;
  readonly host_id: string | null;
  readonly generation: bigint;
  readonly wire_id: bigint;
  readonly meter_id: bigint;
  readonly network_id: bigint;
  readonly vni: bigint;
  readonly addresses: readonly string[];
  readonly gateway: string;
  readonly group_set_id: bigint;
  readonly ruleset_id: bigint;
  readonly source_dest_check: boolean;
  readonly dns_servers: readonly string[];
  readonly disabled: boolean;
  readonly applied_generation: bigint;
  readonly applied_state: number;
  readonly applied_message: string;
  readonly applied_time: Date | null;
  readonly attach_time: Date;
  readonly change_time: Date;
  readonly programmed_time: Date | null;
  readonly detach_time: Date | null;
  /** Null: not forced; see the migration. */
  readonly forced_version: bigint | null;
}

/** The part that hosts must know, as `core/items` wants it. */
export function carried(row: AttachmentRow): Carried {
  return {
    attachmentId: row.attachment_id,
    interfaceId: row.interface_id,
    instanceId: row.instance_id,
    generation: row.generation,
    wanted: row.wanted,
    wireId: Number(row.wire_id),
    deviceIndex: row.device_index,
    networkId: row.network_id,
    vni: Number(row.vni),
    addresses: row.addresses,
    gateway: row.gateway,
    rulesetId: Number(row.ruleset_id),
    groupSetId: Number(row.group_set_id),
    meterId: row.meter_id,
    sourceDestCheck: row.source_dest_check,
    dnsServers: row.dns_servers,
    disabled: row.disabled,
  };
}

/** Rows for `jsonb_to_recordset`: one parameter for any number of them, and arrays inside a row stay arrays. */
export function jsonRows(rows: readonly object[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}
