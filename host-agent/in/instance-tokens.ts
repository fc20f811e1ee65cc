import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#lib/log/log.ts";
import { spreadBackoffMs } from "#lib/retry/backoff.ts";
import { callFailure } from "#lib/rpc/client-error.ts";

/** A new token comes after half of the life of the last, by this host's clock; within these bounds, however wrong that is. */
const SOONEST_MS = 10_000;
const LATEST_MS = 150_000;
const BACKOFF = { firstMs: 200, maxMs: 30_000 };
/** Between two questions: an agent that starts anew asks for all, and must not use up what its host may call. */
const SPACING_MS = 10;

export interface InstanceTokensOptions {
  /** Asks the coordinator (HostFeedService.IssueInstanceToken). */
  issue(instanceId: string, signal: AbortSignal): Promise<{ token: string; expireTime: Date | undefined }>;
  log: Logger;
  /** 0 to 1, for waits that differ; default chance. */
  random?: () => number;
}

/** The coordinator's own word that the instance has none now: what it had counts no more either. */
const REFUSED = new Set(["NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION"]);

/**
 * Tokens of the instances on this host that act as principals: each is renewed before it ends, and asked for again, later and later, when
 * there is none. A coordinator that refuses takes the last one away; one that is away does not, the token counts until it ends.
 */
export class InstanceTokens {
  readonly #options: InstanceTokensOptions;
  readonly #kept = new Map<string, AbortController>();
  #turn: Promise<void> = Promise.resolve();

  constructor(options: InstanceTokensOptions) {
    this.#options = options;
  }

  /** `put` is never called after `drop`. */
  keep(instanceId: string, put: (token: string | undefined) => void): void {
    this.drop(instanceId);
    const controller = new AbortController();
    this.#kept.set(instanceId, controller);
    void this.#run(instanceId, put, controller.signal);
  }

  drop(instanceId: string): void {
    this.#kept.get(instanceId)?.abort();
    this.#kept.delete(instanceId);
  }

  async #run(instanceId: string, put: (token: string | undefined) => void, signal: AbortSignal): Promise<void> {
    const random = this.#options.random ?? Math.random;
    for (let failures = 0; !signal.aborted;) {
      let wait: number;
      try {
        await this.#myTurn();
        if (signal.aborted) return;
        const { token, expireTime } = await this.#options.issue(instanceId, signal);
        if (signal.aborted) return;
        put(token);
        failures = 0;
        const half = ((expireTime?.getTime() ?? 0) - Date.now()) / 2;
        wait = Math.min(Math.max(half, SOONEST_MS), LATEST_MS) * (0.8 + 0.2 * random());
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        wait = spreadBackoffMs(BACKOFF, failures, random());
        this.#failed(instanceId, error, put);
      }
      await delay(wait, undefined, { signal, ref: false }).catch(() => undefined); // dropped
    }
  }

  #myTurn(): Promise<void> {
    const mine = this.#turn;
    this.#turn = mine.then(() => delay(SPACING_MS, undefined, { ref: false }));
    return mine;
  }

  #failed(instanceId: string, error: unknown, put: (token: undefined) => void): void {
    const failure = callFailure(error);
    const refused = failure !== undefined && failure.reason !== "" && REFUSED.has(failure.status);
    this.#options.log.warn({ instance: instanceId, refused }, `no token for an instance: ${failure?.message ?? (error as Error).message}`);
    try {
      if (refused) put(undefined);
    } catch (fault) {
      this.#options.log.error({ err: fault, instance: instanceId }, "an instance's token cannot be taken away");
    }
  }
}
