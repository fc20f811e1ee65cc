import type { Bus } from "#lib/bus/bus.ts";
import { aborted } from "#lib/rpc/errors.ts";

/** Says that a host opened a session: "<host id> <epoch>". A hint; a session also learns it with its next write. */
export const SESSION_SUBJECT = "plenum.int.session";

export const staleSession = (epoch: bigint): Error =>
  aborted("STALE_SESSION", `session ${epoch} is not this host's newest: another agent or another stream of it took over`, {
    session_epoch: epoch.toString(),
  });

/** A session that can be told to end. */
export interface Endable {
  readonly hostId: string;
  readonly epoch: bigint;
  end(failure: Error): void;
}

/** The sessions that this process holds. A newer one of the same host, here or elsewhere, ends the older (C5). */
export class Sessions {
  readonly #open = new Set<Endable>();
  readonly #bus: Bus;
  readonly #subscription: { unsubscribe(): void };

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#subscription = bus.subscribe(SESSION_SUBJECT, ({ data }) => {
      const [hostId = "", epoch = ""] = Buffer.from(data).toString("utf8").split(" ");
      if (/^\d+$/.test(epoch)) this.#endOlder(hostId, BigInt(epoch));
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whose they are. */
  hosts(): string[] {
    return [...new Set([...this.#open].map((session) => session.hostId))];
  }

  /** End all that the host has here. */
  endAll(hostId: string, failure: Error): void {
    for (const session of this.#open) if (session.hostId === hostId) session.end(failure);
  }

  add(session: Endable): void {
    this.#endOlder(session.hostId, session.epoch);
    this.#open.add(session);
    this.#bus.publish(SESSION_SUBJECT, Buffer.from(`${session.hostId} ${session.epoch}`));
  }

  remove(session: Endable): void {
    this.#open.delete(session);
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  #endOlder(hostId: string, epoch: bigint): void {
    for (const session of this.#open) if (session.hostId === hostId && session.epoch < epoch) session.end(staleSession(session.epoch));
  }
}
