import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CounterNews, REPORTS_AHEAD } from "./counters.ts";
import type { CounterReport } from "./counters.ts";
import type { DropReading, MeterReading } from "./ports.ts";

const METERS = 3;

/** A coordinator's tables: the largest of each (counter, epoch). */
class Store {
  readonly #rows = new Map<string, bigint>();

  take(epoch: bigint, { meters, drops }: CounterReport): void {
    for (const { meterId, egressBytes } of meters) this.#raise(`meter ${meterId} ${epoch}`, egressBytes);
    for (const { wireId, reason, packets, epoch: own } of drops) this.#raise(`drop ${wireId} ${reason} ${own}`, packets);
  }

  total(counter: string): bigint {
    return [...this.#rows].filter(([key]) => key.startsWith(`${counter} `)).reduce((sum, [, value]) => sum + value, 0n);
  }

  #raise(key: string, value: bigint): void {
    if (value > (this.#rows.get(key) ?? 0n)) this.#rows.set(key, value);
  }
}

interface Letter {
  epoch: bigint;
  report: CounterReport;
}

/** A host and its coordinator, with all that can go wrong between them. Meter n is of wire n. */
class World {
  readonly store = new Store();
  /** What was counted, and not lost with a machine. */
  readonly expected = new Map<string, bigint>();
  #epoch = 1n;
  #dropEpochs = 100n;
  #news = new CounterNews();
  #meters = new Map<bigint, bigint>();
  #drops = new Map<number, { packets: bigint; epoch: bigint }>();
  #detached = new Set<bigint>();
  /** On the way in this session. */
  #sent: Letter[] = [];
  #committed = 0n;
  /** Anything that was ever sent, for repeats. */
  readonly #all: Letter[] = [];

  constructor() {
    this.#news.begin(true);
    for (let n = 1; n <= METERS; n++) this.#attach(n);
  }

  count(n: number, bytes: number): void {
    const id = BigInt(n);
    const before = this.#meters.get(id);
    if (before === undefined || this.#detached.has(id)) return;
    this.#meters.set(id, before + BigInt(bytes));
    this.#expect(`meter ${n}`, BigInt(bytes));
  }

  drop(n: number): void {
    const drop = this.#drops.get(n);
    if (drop === undefined || this.#detached.has(BigInt(n))) return;
    drop.packets += 1n;
    this.#expect(`drop ${n} NO_RULE`, 1n);
  }

  tell(): void {
    this.#send(this.#news.takeAll(this.#readings(), this.#dropReadings()));
  }

  /** The coordinator takes what came next. */
  commit(): void {
    const letter = this.#sent.shift();
    if (letter === undefined) return;
    this.store.take(letter.epoch, letter.report);
    this.#committed = letter.report.sequence;
  }

  /** Its answer arrives, and meters go whose readings are safe. */
  hear(): void {
    this.#news.acknowledge(this.#committed);
    for (const meterId of this.#detached) {
      if (!this.#meters.has(meterId) || !this.#news.isSafe({ meterId, wireId: Number(meterId) })) continue;
      this.#meters.delete(meterId);
      this.#drops.delete(Number(meterId));
    }
  }

  /** Something of before arrives once more, in any order. */
  repeat(index: number): void {
    const letter = this.#all[index % Math.max(1, this.#all.length)];
    if (letter !== undefined && !this.#sent.includes(letter)) this.store.take(letter.epoch, letter.report);
  }

  /** What is under way is lost, and any answer. */
  breakSession(): void {
    this.#sent = [];
    this.#committed = 0n;
    this.#news.begin(true);
    this.tell();
  }

  killAgent(): void {
    this.#news = new CounterNews();
    this.breakSession();
  }

  detach(n: number): void {
    const id = BigInt(n);
    if (!this.#meters.has(id) || this.#detached.has(id)) return;
    this.#detached.add(id);
    this.#send(this.#news.take(this.#readings(id), this.#dropReadings(n)));
  }

  /** Every map begins from nothing. */
  reboot(): void {
    this.settle(); // what was not committed is lost with the machine, and nothing can count it
    this.#epoch += 1n;
    this.#meters.clear();
    this.#drops.clear();
    this.#detached.clear();
    for (let n = 1; n <= METERS; n++) this.#attach(n);
    this.killAgent();
  }

  settle(): void {
    for (let round = 0; round < 2; round++) {
      this.tell(); // perhaps not while too many are unanswered
      while (this.#sent.length > 0) this.commit();
      this.hear();
    }
  }

  get kept(): number {
    return [...this.#detached].filter((id) => this.#meters.has(id)).length;
  }

  #attach(n: number): void {
    this.#meters.set(BigInt(n), 0n);
    this.#drops.set(n, { packets: 0n, epoch: (this.#dropEpochs += 1n) });
  }

  #expect(counter: string, more: bigint): void {
    this.expected.set(counter, (this.expected.get(counter) ?? 0n) + more);
  }

  #send(report: CounterReport | undefined): void {
    if (report === undefined) return;
    const letter = { epoch: this.#epoch, report };
    this.#sent.push(letter);
    this.#all.push(letter);
  }

  #readings(only?: bigint): MeterReading[] {
    const all = [...this.#meters].filter(([meterId]) => only === undefined || meterId === only);
    return all.map(([meterId, bytes]) => ({ meterId, direction: "egress", packets: bytes, bytes, rawBytes: bytes }));
  }

  #dropReadings(only?: number): DropReading[] {
    const all = [...this.#drops].filter(([wireId, { packets }]) => packets > 0n && (only === undefined || wireId === only));
    return all.map(([wireId, drop]) => ({ wireId, reason: 7, reasonName: "NO_RULE", ...drop }));
  }
}

const n = fc.integer({ min: 1, max: METERS });
const event = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant("count" as const), n, fc.integer({ min: 1, max: 1_500 })) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("drop" as const), n) },
  { weight: 4, arbitrary: fc.tuple(fc.constant("tell" as const)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant("commit" as const)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("hear" as const)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("repeat" as const), fc.nat(50)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("breakSession" as const)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("killAgent" as const)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("detach" as const), n) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("reboot" as const)) },
);

describe("news of counters", () => {
  it("add up exactly through loss, repeats, any order, kills, detaches and reboots, and no meter is kept for ever", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80, size: "max" }), (events) => {
        const world = new World();
        for (const [kind, ...args] of events) (world[kind] as (...numbers: number[]) => void)(...args);
        world.settle();
        for (const [counter, total] of world.expected) expect(world.store.total(counter), counter).toBe(total);
        expect(world.kept).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  const reading = (packets: bigint): MeterReading[] => [{ meterId: 1n, direction: "egress", packets, bytes: packets, rawBytes: packets }];
  const key = { meterId: 1n, wireId: 7 };

  it("are told once in a session, and again in the next unless acknowledged", () => {
    const news = new CounterNews();
    news.begin(true);
    const first = news.takeAll(reading(5n), []);
    expect(first).toMatchObject({ sequence: 1n, meters: [{ meterId: 1n, egressPackets: 5n }] });
    expect(news.takeAll(reading(5n), [])).toBeUndefined();
    news.begin(true);
    expect(news.takeAll(reading(5n), [])).toMatchObject({ sequence: 2n });
    news.acknowledge(2n);
    news.begin(true);
    expect(news.takeAll(reading(5n), [])).toBeUndefined();
  });

  it("are safe when the newest reading is acknowledged, drops of the attachment included, and not before anything was read", () => {
    const news = new CounterNews();
    news.begin(true);
    expect(news.isSafe(key)).toBe(false);
    news.takeAll(reading(0n), []);
    expect(news.isSafe(key)).toBe(true); // nothing to tell
    news.takeAll(reading(5n), [{ wireId: 7, reason: 1, reasonName: "NO_RULE", packets: 1n, epoch: 3n }]);
    news.takeAll(reading(6n), [{ wireId: 7, reason: 1, reasonName: "NO_RULE", packets: 2n, epoch: 3n }]);
    news.acknowledge(1n);
    expect(news.isSafe(key)).toBe(false);
    news.take(reading(6n), [{ wireId: 7, reason: 1, reasonName: "NO_RULE", packets: 3n, epoch: 3n }]);
    news.acknowledge(2n);
    expect(news.isSafe(key)).toBe(false); // the third drop
    news.acknowledge(3n);
    expect(news.isSafe(key)).toBe(true);
  });

  it("wait while so many are unanswered, and are then told at once: nothing piles up where the coordinator cannot write", () => {
    const news = new CounterNews();
    news.begin(true);
    const told = Array.from({ length: 10_000 }, (_, i) => news.takeAll(reading(BigInt(i + 1)), [])).filter(
      (report) => report !== undefined,
    );
    expect(told).toHaveLength(REPORTS_AHEAD);
    expect(news.take(reading(10_000n), []), "a last reading does not wait").toMatchObject({ meters: [{ egressPackets: 10_000n }] });
    news.acknowledge(BigInt(REPORTS_AHEAD) + 1n);
    expect(news.isSafe(key)).toBe(true);
    expect(news.takeAll(reading(10_001n), [])).toMatchObject({ meters: [{ egressPackets: 10_001n }] });
  });

  it("are told anew by each session of a coordinator that acknowledges nothing", () => {
    const news = new CounterNews();
    for (const sequence of [1n, 2n]) {
      news.begin(false);
      expect(news.takeAll(reading(5n), [])?.sequence).toBe(sequence);
    }
    expect(news.isSafe(key)).toBe(false);
  });
});
