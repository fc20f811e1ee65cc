import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";

/** Records that a watch looks at again at most. */
export const MAX_UNSETTLED = 200;

const conditionsOf = (record: Interface) => record.attachments.flatMap((one) => one.conditions);

const textOf = (record: Interface): string =>
  JSON.stringify(conditionsOf(record).map(({ type, status, reason, message }) => [type, status, reason, message]));

/**
 * Records that were told with conditions that are not TRUE. What they wait for (other hosts, a host that is silent) changes without a
 * change of theirs, so they are looked at again, and told again when they read differently.
 */
export class Unsettled {
  readonly #told = new Map<string, string>();

  /** To be called with each record that is told. Whether it is one that is looked at again. */
  told(record: Interface): boolean {
    this.#told.delete(record.interfaceId);
    const settled = conditionsOf(record).every(({ status }) => status === ConditionStatus.TRUE);
    if (settled || this.#told.size >= MAX_UNSETTLED) return false;
    this.#told.set(record.interfaceId, textOf(record));
    return true;
  }

  forget(interfaceId: string): void {
    this.#told.delete(interfaceId);
  }

  clear(): void {
    this.#told.clear();
  }

  /** Whether it reads otherwise than it was told. */
  differs(record: Interface): boolean {
    return this.#told.get(record.interfaceId) !== textOf(record);
  }

  get ids(): string[] {
    return [...this.#told.keys()];
  }
}
