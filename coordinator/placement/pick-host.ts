import { failedPrecondition } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import { chooseHost, whyNone, zoneOf } from "./core/choose-host.ts";
import type { Demand, Unfit } from "./core/choose-host.ts";
import { holdUnbarred } from "./out/bar-store.ts";
import { hasRoom } from "./out/host-room.ts";
import { connectedHosts } from "./out/host-store.ts";
import type { FreeHost } from "./out/host-store.ts";

/** What an operator can do about it, and what others may know. */
const REMEDY: Readonly<Record<Unfit, (where: string) => string>> = {
  disconnected: (where) => `no connected host in ${where} can take the instance: bring one back or let another one join`,
  cordoned: (where) => `what is connected in ${where} takes no new instances now (cordoned): uncordon a host or let another one join`,
  cut_off: (where) =>
    `what is connected in ${where} says that it cannot carry packets to others now: an operator sees why in the hosts' conditions`,
  full: (where) => `what is connected in ${where} is full: terminate instances there or let another host join`,
};

/** A connected host that fits and is not barred before the commit, or FAILED_PRECONDITION (NO_HOST). */
export async function pickHost(call: WriteCall, demand: Demand): Promise<FreeHost> {
  const { zones, hostId } = demand;
  const zone = zoneOf(zones);
  if (zone.kind === "conflict") {
    throw failedPrecondition(
      "NO_HOST",
      `the instance and its subnets demand different zones (${[...new Set(zones)].filter((id) => id !== "").join(", ")}): no host is in both`,
      { zone_id: zones.join(",") },
    );
  }
  let candidates: readonly FreeHost[] = await connectedHosts(call.tx);
  for (let host = chooseHost(candidates, demand); host !== undefined; host = chooseHost(candidates, demand)) {
    const { hostId: chosen } = host;
    if (!(await hasRoom(call.tx, host, demand.attachments)))
      candidates = candidates.map((one) => (one.hostId === chosen ? { ...one, full: true } : one));
    // Barred since it was read: connected no more.
    else if ((await holdUnbarred(call.tx, [chosen])).length > 0) candidates = candidates.filter((one) => one.hostId !== chosen);
    else return host;
  }
  const zoneId = zone.kind === "zone" ? zone.zoneId : "";
  const zoneName = zoneId === "" ? "any zone" : `zone ${zoneId}`;
  // A fixed host was an operator's choice, and its id is the operators'.
  const fixed = call.subject.kind === "operator" ? hostId : "the place that an operator chose";
  const why = whyNone(candidates, demand);
  throw failedPrecondition("NO_HOST", REMEDY[why](hostId === undefined ? zoneName : (fixed ?? "")), { zone_id: zoneId, why });
}
