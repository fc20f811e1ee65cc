import type { Registry } from "prom-client";
import type { RefusalRow } from "../audit/refusal-tally.ts";
import type { CertificateAuthority } from "../auth/ca.ts";
import type { TokenIssuer } from "../auth/token.ts";
import type { Bus } from "../bus/bus.ts";
import type { Logger } from "../log/log.ts";
import type { ServiceBinding } from "../rpc/definition.ts";

export type { ServiceBinding } from "../rpc/definition.ts";

/** What a service is given by whoever runs it (`plenum up`: all in one process; `plenum serve x`: alone). */
export interface ServiceContext {
  /** PostgreSQL as this service's own role (C17). */
  databaseUrl: string;
  /** A role that may migrate. Without it the schema must be the one that the service knows, else it refuses to start. */
  adminDatabaseUrl?: string;
  bus: Bus;
  ca: CertificateAuthority;
  /** Issues tokens and verifies its own. */
  tokens: TokenIssuer;
  log: Logger;
  registry: Registry;
  /** "host:port" of the internal listener, where hosts join and connect; goes into what joining hosts are told. */
  internalEndpoint?: string;
}

/** A running service: what it serves, on which listener, and how it ends. */
export interface ServiceHandle {
  name: string;
  /** For the API listener (tokens). */
  api: ServiceBinding[];
  /** For the internal listener (hosts, mTLS). */
  internal: ServiceBinding[];
  /** Writes calls that its door refused to the audit. */
  noteRefusals?: (rows: readonly RefusalRow[]) => Promise<void>;
  /** Ends background work and closes the database. The listeners are the composer's, and closed before. */
  stop(): Promise<void>;
}
