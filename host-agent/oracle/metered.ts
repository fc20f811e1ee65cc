import { isDeepStrictEqual } from "node:util";
import type { Configuration, Decision } from "#lib/model/index.ts";
import type { Program } from "./program.ts";

interface Count {
  readonly meterId: bigint;
  packets: bigint;
  bytes: bigint;
  rawBytes: bigint;
}

/** What the host's meters should have counted since they were made. */
export class Metered {
  readonly #counts = new Map<string, Count>();

  add(decision: Decision): void {
    if (decision.verdict !== "tunnel" && decision.verdict !== "deliver") return;
    for (const { meterId, direction, bytes, rawBytes } of decision.meters) {
      const name = `${meterId} ${direction}`;
      const before = this.#counts.get(name) ?? { meterId, packets: 0n, bytes: 0n, rawBytes: 0n };
      const after = {
        meterId,
        packets: before.packets + 1n,
        bytes: before.bytes + BigInt(bytes),
        rawBytes: before.rawBytes + BigInt(rawBytes),
      };
      this.#counts.set(name, after);
    }
  }

  /** A meter ends with its interface, or was taken away. */
  change(before: Configuration, next: Configuration): void {
    const has = (c: Configuration, id: bigint): boolean => c.meterIds.has(id) && c.endpoints.some((e) => e.meterId === id);
    for (const [name, { meterId }] of this.#counts) if (!has(before, meterId) || !has(next, meterId)) this.#counts.delete(name);
  }

  compare(program: Program): { expected: unknown; actual: unknown } | undefined {
    const text = (name: string, { packets, bytes, rawBytes }: Omit<Count, "meterId">): string =>
      `meter ${name}: ${packets} packets, ${bytes} octets, ${rawBytes} raw`;
    const actual = program
      .meters()
      .filter(({ packets }) => packets > 0n)
      .map((m) => text(`${m.meterId} ${m.direction}`, m))
      .sort();
    const expected = [...this.#counts].map(([name, count]) => text(name, count)).sort();
    return isDeepStrictEqual(actual, expected) ? undefined : { expected, actual };
  }
}
