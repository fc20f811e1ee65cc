/** A connected host, as placement sees it. */
export interface Candidate {
  readonly hostId: string;
  readonly zoneId: string;
  /** Instances on it now. */
  readonly instances: number;
  /** It may be given new instances (not cordoned). */
  readonly schedulable: boolean;
  /** Its substrate and its tunnel are ready, as far as it says. */
  readonly carries: boolean;
  /** It was found to have no room for this instance. */
  readonly full: boolean;
}

/** What an instance demands of its host. */
export interface Demand {
  /** Of the instance and of its interfaces' subnets; "" demands nothing. */
  readonly zones: readonly string[];
  /** Exactly this one. */
  readonly hostId?: string | undefined;
  /** Interfaces that it comes with. */
  readonly attachments: number;
}

/**
 * Why no host takes an instance: none that is connected is where it must be; those are cordoned; those that are not cannot carry packets to
 * others; some can, and have no room.
 */
export type Unfit = "disconnected" | "cordoned" | "cut_off" | "full";

/** The one zone that all agree on; undefined: any; "conflict": two differ. */
export function zoneOf(
  zones: readonly string[],
): { readonly kind: "any" } | { readonly kind: "zone"; readonly zoneId: string } | { readonly kind: "conflict" } {
  const named = [...new Set(zones.filter((zone) => zone !== ""))];
  const [zoneId] = named;
  if (zoneId === undefined) return { kind: "any" };
  return named.length === 1 ? { kind: "zone", zoneId } : { kind: "conflict" };
}

/** Those that are where the instance must be. */
function inPlace<C extends Candidate>(candidates: readonly C[], demand: Pick<Demand, "zones" | "hostId">): C[] {
  const zone = zoneOf(demand.zones);
  if (zone.kind === "conflict") return [];
  return candidates.filter(
    (host) => (zone.kind === "any" || host.zoneId === zone.zoneId) && (demand.hostId === undefined || host.hostId === demand.hostId),
  );
}

/** The host with the fewest instances among those that fit and can carry packets to others; of equal ones the first by id. Undefined: none fits. */
export function chooseHost<C extends Candidate>(candidates: readonly C[], demand: Pick<Demand, "zones" | "hostId">): C | undefined {
  const fits = inPlace(candidates, demand).filter((host) => host.schedulable && host.carries && !host.full);
  return fits.toSorted((a, b) => a.instances - b.instances || (a.hostId < b.hostId ? -1 : 1))[0];
}

/** What is amiss where {@link chooseHost} found none. */
export function whyNone(candidates: readonly Candidate[], demand: Pick<Demand, "zones" | "hostId">): Unfit {
  const there = inPlace(candidates, demand);
  if (there.length === 0) return "disconnected";
  const open = there.filter((host) => host.schedulable);
  if (open.length === 0) return "cordoned";
  return open.some((host) => host.carries) ? "full" : "cut_off";
}
