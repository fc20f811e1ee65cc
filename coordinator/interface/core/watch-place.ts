/** How far a watch has told: what a resume token holds. */
export interface WatchPlace {
  /** Consents that began or ended by then have been told; the database's clock. */
  readonly clock: Date;
  /** By scope: changes up to this version have been told. */
  readonly versions: ReadonlyMap<string, bigint>;
}

/** As a page token's cursor. */
export function cursorOf({ clock, versions }: WatchPlace): string[] {
  return [clock.toISOString(), ...[...versions].flatMap(([scope, version]) => [scope, version.toString()])];
}

/** From a cursor that we made. */
export function placeOf([clock = "", ...pairs]: readonly string[]): WatchPlace {
  const versions = new Map<string, bigint>();
  for (let at = 0; at + 1 < pairs.length; at += 2) versions.set(pairs[at] ?? "", BigInt(pairs[at + 1] ?? ""));
  return { clock: new Date(clock), versions };
}
