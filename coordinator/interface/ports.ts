import type { Kysely, RawBuilder } from "kysely";
import type { Tx } from "../call/api.ts";
import type { HostFacts } from "./core/conditions.ts";

/** Whatever can read: a transaction, or the pool for one statement. */
export type Reader = Kysely<unknown>;

/** A host, as attachments need it. */
export interface PlacedHost {
  readonly hostId: string;
  readonly zoneId: string;
  readonly substrateAddress: string;
}

/** An instance, locked until the transaction ends. */
export interface LockedInstance {
  readonly instanceId: string;
  readonly ownerAccount: string;
  /** The zone it must be in; "" any. */
  readonly zoneId: string;
  /** Name of its state, for people. */
  readonly state: string;
  /** Neither ending nor ended. */
  readonly attachable: boolean;
  /** The host that is to carry its interfaces now; undefined: stopped or stopping. */
  readonly host: PlacedHost | undefined;
}

/** What this module asks of whoever knows instances and hosts (placement; given in main.ts). */
export interface InstanceDirectory {
  /** Locked in the order of their ids. Unknown ones are left out. */
  lock(tx: Tx, instanceIds: readonly string[]): Promise<ReadonlyMap<string, LockedInstance>>;
  /** Owners, without locks. Unknown ones are left out. */
  owners(db: Reader, instanceIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  hosts(db: Reader, hostIds: readonly string[]): Promise<ReadonlyMap<string, HostFacts & PlacedHost>>;
  /** Those of the hosts that are silent, and stay so until the transaction ends: no session of theirs opens within it. Waits for nothing. */
  holdSilent(tx: Tx, hostIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** The same as part of a larger statement: jsonb for {@link hostsIn}. `hostIds`: SQL of a text[]. */
  hostsQuery(hostIds: RawBuilder<unknown>): RawBuilder<unknown>;
  /** What the part's answer says. */
  hostsIn(answer: unknown): ReadonlyMap<string, HostFacts & PlacedHost>;
  /** SQL of a table (host_id, network_id, version): the newest version of each network that a host has applied in its present session. */
  readonly networkVersions: RawBuilder<unknown>;
}
