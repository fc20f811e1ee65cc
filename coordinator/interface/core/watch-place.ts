/** How far a watch has told: what a resume token holds. */
export interface WatchPlace {
  /** Consents that began or ended by then have been told; the database's clock. */
  readonly clock: Date;
  /** By account: changes of each of its scopes up to this version have been told. */
  readonly versions: ReadonlyMap<string, readonly bigint[]>;
}

/** As a page token's cursor. */
export function cursorOf({ clock, versions }: WatchPlace): string[] {
  return [clock.toISOString(), ...[...versions].flatMap(([accountId, parts]) => [accountId, parts.join(".")])];
}

/** From a cursor that we made. */
export function placeOf([clock = "", ...pairs]: readonly string[]): WatchPlace {
  const versions = new Map<string, bigint[]>();
  for (let at = 0; at + 1 < pairs.length; at += 2) versions.set(pairs[at] ?? "", (pairs[at + 1] ?? "").split(".").map(BigInt));
  return { clock: new Date(clock), versions };
}
