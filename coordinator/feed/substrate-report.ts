import type { Kysely } from "kysely";
import type { SubstrateStatus } from "#gen/plenum/host/v1/host_feed.ts";
import type { Logger } from "#lib/log/log.ts";
import { writeSubstrate } from "../placement/api.ts";

/** Keeps with a host's row what its session says of the substrate; written only when it changes. */
export class SubstrateReport {
  readonly #deps: { readonly db: Kysely<unknown>; readonly log: Logger };
  readonly #hostId: string;
  readonly #epoch: bigint;
  #heard: SubstrateStatus | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: { readonly db: Kysely<unknown>; readonly log: Logger }, hostId: string, epoch: bigint) {
    this.#deps = deps;
    this.#hostId = hostId;
    this.#epoch = epoch;
  }

  /** Of one heartbeat; of an agent that says nothing of it: undefined. */
  hear(status: SubstrateStatus | undefined): void {
    if (status === undefined || (this.#heard !== undefined && same(status, this.#heard))) return;
    this.#heard = status;
    this.#writing = this.#writing
      .then(() => writeSubstrate(this.#deps.db, this.#hostId, this.#epoch, status))
      .catch((error: unknown) => {
        this.#heard = undefined; // the next heartbeat says it again
        this.#deps.log.warn({ err: error, host: this.#hostId }, "how a host's substrate stands could not be written");
      });
  }

  /** Resolves when what was heard is written. */
  idle(): Promise<void> {
    return this.#writing;
  }
}

function same(a: SubstrateStatus, b: SubstrateStatus): boolean {
  return a.deviceReady === b.deviceReady && a.tunnelReady === b.tunnelReady && a.message === b.message;
}
