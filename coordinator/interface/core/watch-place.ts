import type { Position } from "#lib/feed/feed.ts";

/** How far a watch has told: what a resume token holds. */
export interface WatchPlace {
  /** Consents that began or ended by then have been told; the database's clock. */
  readonly clock: Date;
  /** By account: changes of each of its scopes up to this position have been told. */
  readonly positions: ReadonlyMap<string, readonly Position[]>;
}

const hex = (value: bigint): string => value.toString(16);

/** As a page token's cursor. */
export function cursorOf({ clock, positions }: WatchPlace): string[] {
  const text = (parts: readonly Position[]): string => parts.map(({ version, mark }) => `${hex(version)}:${hex(mark)}`).join(".");
  return [clock.toISOString(), ...[...positions].flatMap(([accountId, parts]) => [accountId, text(parts)])];
}

/** From a cursor that we made. */
export function placeOf([clock = "", ...pairs]: readonly string[]): WatchPlace {
  const positions = new Map<string, Position[]>();
  const position = (text: string): Position => {
    const [version = "", mark = ""] = text.split(":");
    return { version: BigInt(`0x${version}`), mark: BigInt(`0x${mark}`) };
  };
  // uncovered: of a pair both are there; only the type cannot say so
  for (let at = 0; at + 1 < pairs.length; at += 2) positions.set(pairs[at] ?? "", (pairs[at + 1] ?? "").split(".").map(position));
  return { clock: new Date(clock), positions };
}
