/** A connected host, as placement sees it. */
export interface Candidate {
  readonly hostId: string;
  readonly zoneId: string;
  /** Instances on it now. */
  readonly instances: number;
  /** Its substrate and its tunnel are ready, as far as it says. */
  readonly carries: boolean;
}

/** What an instance demands of its host. */
export interface Demand {
  /** Of the instance and of its interfaces' subnets; "" demands nothing. */
  readonly zones: readonly string[];
  /** Exactly this one. */
  readonly hostId?: string | undefined;
}

/** The one zone that all agree on; undefined: any; "conflict": two differ. */
export function zoneOf(
  zones: readonly string[],
): { readonly kind: "any" } | { readonly kind: "zone"; readonly zoneId: string } | { readonly kind: "conflict" } {
  const named = [...new Set(zones.filter((zone) => zone !== ""))];
  const [zoneId] = named;
  if (zoneId === undefined) return { kind: "any" };
  return named.length === 1 ? { kind: "zone", zoneId } : { kind: "conflict" };
}

/** The host with the fewest instances among those that fit and can carry packets to others; of equal ones the first by id. Undefined: none fits. */
export function chooseHost<C extends Candidate>(candidates: readonly C[], demand: Demand): C | undefined {
  const zone = zoneOf(demand.zones);
  if (zone.kind === "conflict") return undefined;
  const fits = candidates.filter(
    (host) =>
      host.carries &&
      (zone.kind === "any" || host.zoneId === zone.zoneId) &&
      (demand.hostId === undefined || host.hostId === demand.hostId),
  );
  return fits.toSorted((a, b) => a.instances - b.instances || (a.hostId < b.hostId ? -1 : 1))[0];
}
