import type { WatchInterfacesRequest, WatchInterfacesResponse } from "#gen/plenum/nivc/v1/interface_service.ts";
import { limiter } from "#lib/feed/feed.ts";
import type { ScopeReader } from "#lib/feed/feed.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { invalidArgument, resourceExhausted } from "#lib/rpc/errors.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { subjectOf, visibleAccount } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { cursorOf, placeOf } from "../core/watch-place.ts";
import type { WatchPlace } from "../core/watch-place.ts";
import type { InstanceDirectory } from "../ports.ts";
import { InterfaceWatch } from "../watch.ts";
import type { WatchTimes } from "../watch.ts";
import { bySilence, checkFilter } from "./filter.ts";
import type { CheckedFilter } from "./filter.ts";
import { WatchView } from "./watch-view.ts";

export interface InterfaceWatchesOptions {
  readonly calls: Calls;
  readonly pages: PageTokens;
  readonly reader: ScopeReader<unknown>;
  readonly directory: InstanceDirectory;
  /** Open watches of one account, or of all operators, at most. */
  readonly maxWatches: number;
  readonly times?: WatchTimes;
}

/** Reads for watches at the same time, of the connections that calls use, too. */
const CONCURRENT_READS = 4;

const RESUME_TOKEN = { field: "resume_token", remedy: "send a bookmark's token with the same filter, or none to begin with a snapshot" };

/** Who fell silent meanwhile, or was heard again, is in no log: changes of what such a filter shows are gone. */
const from = (place: WatchPlace, filter: CheckedFilter): WatchPlace => (bySilence(filter) ? { ...place, positions: new Map() } : place);

/** The open WatchInterfaces of this process. */
export class InterfaceWatches {
  readonly #options: InterfaceWatchesOptions;
  readonly #limit = limiter(CONCURRENT_READS);
  readonly #open = new Map<string, number>();

  constructor(options: InterfaceWatchesOptions) {
    this.#options = options;
  }

  get size(): number {
    return [...this.#open.values()].reduce((sum, count) => sum + count, 0);
  }

  /** WatchInterfaces as in the proto. */
  async *open(request: WatchInterfacesRequest, context: ServerContext): AsyncGenerator<WatchInterfacesResponse, void, undefined> {
    const { calls, pages, reader, directory, times } = this.#options;
    const filter = checkFilter(request.filter);
    const accountId = visibleAccount(subjectOf(context.caller)) ?? filter.ownerAccount;
    if (accountId === "") throw invalidArgument("filter.owner_account", "is missing", "an operator watches one account");
    const scope = { caller: context.caller, method: context.method, filter: { ...filter } };
    const cursor = pages.open(request.resumeToken, scope, RESUME_TOKEN);
    const leave = this.#enter(context.caller.accountId);
    try {
      const watch = new InterfaceWatch({
        reader,
        view: new WatchView({ calls, directory, context, filter, accountId }),
        limit: this.#limit,
        from: cursor === undefined ? undefined : from(placeOf(cursor), filter),
        seal: (place) => pages.seal(cursorOf(place), scope),
        signal: context.signal,
        ...(times === undefined ? {} : { times }),
      });
      for await (const event of watch.events()) yield { event };
    } finally {
      leave();
    }
  }

  /** RESOURCE_EXHAUSTED (LIMIT_EXCEEDED). */
  #enter(accountId: string): () => void {
    const { maxWatches } = this.#options;
    const open = this.#open.get(accountId) ?? 0;
    if (open >= maxWatches) {
      const whose = accountId === "" ? "operators have" : `${accountId} has`;
      throw resourceExhausted("LIMIT_EXCEEDED", `${whose} ${open} watches open here: end one, or let one feed many`, {
        limit: String(maxWatches),
      });
    }
    this.#open.set(accountId, open + 1);
    return () => {
      const left = (this.#open.get(accountId) ?? 1) - 1;
      if (left === 0) this.#open.delete(accountId);
      else this.#open.set(accountId, left);
    };
  }
}
