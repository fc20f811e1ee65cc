import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { resourceExhausted } from "#lib/rpc/errors.ts";
import type { CallContext, Calls, ReadCall } from "../../call/api.ts";
import { resourcesByTime } from "../../consent/api.ts";
import { listInterfaces, neverShown, ownersOf, shownInterfaces, shownOnHosts } from "../out/interface-store.ts";
import type { Shown } from "../out/interface-store.ts";
import type { InstanceDirectory } from "../ports.ts";
import { silentHosts } from "./filter.ts";
import type { CheckedFilter } from "./filter.ts";
import { interfaceMessages } from "./messages.ts";
import { visibleTo } from "./visible.ts";

/** Accounts that may share something with one watch. */
const MAX_OWNERS = 100;

export interface WatchViewOptions {
  readonly calls: Calls;
  readonly directory: InstanceDirectory;
  readonly context: CallContext & { readonly action: string };
  readonly filter: CheckedFilter;
  /** Whose records, and those shared with it. */
  readonly accountId: string;
}

/** What a list with this caller and filter would show, read anew each time: whoever may see no more is refused here, as there (C15). */
export class WatchView {
  readonly accountId: string;
  readonly #options: WatchViewOptions;
  #shared: ReadonlySet<string> = new Set();
  #owners: readonly string[] = [];
  /** As of the last look: all that is read until the next one goes by them. Undefined: not looked at yet. */
  #silent: ReadonlySet<string> | undefined;

  constructor(options: WatchViewOptions) {
    this.#options = options;
    this.accountId = options.accountId;
  }

  /** Whether somebody else's record was the caller's to see at the last read. */
  shares(interfaceId: string): boolean {
    return this.#shared.has(interfaceId);
  }

  /** All of those. */
  shared(): ReadonlySet<string> {
    return this.#shared;
  }

  /** Whose they are, as far as the filter shows them. */
  owners(): readonly string[] {
    return this.#owners;
  }

  /** One page of all; `last` is the id to go on after, "" at the end. */
  page(after: string, limit: number): Promise<{ records: Interface[]; last: string }> {
    return this.#read(async (call, shown) => {
      const rows = await listInterfaces(call.tx, { ...shown, after, limit });
      const records = await interfaceMessages(call.tx, this.#options.directory, call.subject, rows);
      return { records, last: rows.length < limit ? "" : (rows.at(-1)?.interface_id ?? "") };
    });
  }

  /** Those of these that are shown, and those that may have been before. */
  records(ids: readonly string[]): Promise<{ records: Interface[]; gone: string[] }> {
    return this.#read(async (call, shown) => {
      const rows = await shownInterfaces(call.tx, ids, shown);
      const records = await interfaceMessages(call.tx, this.#options.directory, call.subject, rows);
      const there = new Set(rows.map((row) => row.interface_id));
      const missing = ids.filter((id) => !there.has(id));
      const never = await neverShown(call.tx, missing, shown);
      return { records, gone: missing.filter((id) => !never.has(id)) };
    });
  }

  /**
   * Decide again; what consents that began or ended since `since` were about, and what the filter shows otherwise since a host fell silent
   * or is heard again; and these records as they read now. To be called before anything else is.
   */
  look(since: Date | undefined, ids: readonly string[]): Promise<{ clock: Date; turned: string[]; records: Interface[] }> {
    return this.#read(async (call, before) => {
      const turned = since === undefined ? [] : await resourcesByTime(call.tx, this.accountId, "interface", since, call.now);
      const shown = { ...before, silentHosts: await silentHosts(call.tx, this.#options.directory, this.#options.filter) };
      turned.push(...(await this.#heard(call, shown)));
      const rows = ids.length === 0 ? [] : await shownInterfaces(call.tx, ids, shown);
      const records = await interfaceMessages(call.tx, this.#options.directory, call.subject, rows);
      return { clock: call.now, turned, records };
    });
  }

  #read<Result>(read: (call: ReadCall, shown: Shown) => Promise<Result>): Promise<Result> {
    const { calls, context, filter } = this.#options;
    return calls.read(context, context.action, async (call) => {
      const visible = await visibleTo(call);
      await this.#learn(call, visible?.granted ?? []);
      return read(call, { ...filter, silentHosts: [...(this.#silent ?? [])], visibleTo: visible });
    });
  }

  /** Records on the hosts that fell silent, or are heard again, since the last look. */
  async #heard(call: ReadCall, shown: Shown): Promise<string[]> {
    const now = new Set(shown.silentHosts);
    const before = this.#silent ?? now;
    const turned = [...now, ...before].filter((hostId) => !now.has(hostId) || !before.has(hostId));
    this.#silent = now;
    return turned.length === 0 ? [] : shownOnHosts(call.tx, turned, shown);
  }

  async #learn(call: ReadCall, granted: readonly string[]): Promise<void> {
    const { ownerAccount } = this.#options.filter;
    if (ownerAccount === this.accountId) return; // nobody else's
    if (granted.length === this.#shared.size && granted.every((id) => this.#shared.has(id))) return;
    const owners = granted.length === 0 ? [] : await ownersOf(call.tx, granted, MAX_OWNERS + 1);
    const shown = owners.filter((owner) => ownerAccount === "" || owner === ownerAccount);
    if (shown.length > MAX_OWNERS) {
      const facts = { limit: String(MAX_OWNERS) };
      throw resourceExhausted(
        "LIMIT_EXCEEDED",
        `more than ${MAX_OWNERS} accounts share records with you: give filter.owner_account`,
        facts,
      );
    }
    this.#shared = new Set(granted);
    this.#owners = shown;
  }
}
