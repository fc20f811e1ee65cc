import { ServerError, Status } from "nice-grpc-common";
import { HealthDefinition } from "nice-grpc-server-health";
import { bind } from "./definition.ts";
import type { ServerContext, ServiceBinding } from "./definition.ts";

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Whether services serve; "" is the process as a whole. Starts as not serving. */
export class Health {
  readonly #serving = new Map<string, boolean>([["", false]]);
  #changed = Promise.withResolvers<void>();

  /** Say whether `service` ("plenum.network.v1.VpcService", or "" for all of the process) can do its work now. */
  set(service: string, serving: boolean): void {
    if (this.#serving.get(service) === serving) return;
    this.#serving.set(service, serving);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  get(service: string): boolean | undefined {
    return this.#serving.get(service);
  }

  /** Set every known service, and the whole, at once. */
  setAll(serving: boolean): void {
    for (const service of this.#serving.keys()) this.set(service, serving);
  }

  /** Resolves at the next change after this call. */
  nextChange(): Promise<void> {
    return this.#changed.promise;
  }
}

const statusOf = (serving: boolean | undefined): 1 | 2 | 3 => (serving === undefined ? SERVICE_UNKNOWN : serving ? SERVING : NOT_SERVING);

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

/**
 * grpc.health.v1.Health over our own watch: the ready-made one listens only after its reader took the last answer, and so misses a
 * change made while that reader was slow.
 */
export function healthService(health: Health): ServiceBinding {
  return bind(HealthDefinition, {
    check(request: { service: string }) {
      const serving = health.get(request.service);
      if (serving === undefined) throw new ServerError(Status.NOT_FOUND, `there is no service ${request.service} here`);
      return Promise.resolve({ status: statusOf(serving) });
    },
    async *watch(request: { service: string }, context: ServerContext) {
      const ended = aborted(context.signal);
      let last: number | undefined;
      while (!context.signal.aborted) {
        const changed = health.nextChange(); // taken before the state is read: a change after the read is not lost
        const status = statusOf(health.get(request.service));
        if (status !== last) {
          last = status;
          yield { status };
          continue;
        }
        await Promise.race([changed, ended]);
      }
    },
  });
}
