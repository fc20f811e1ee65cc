import type { BatchLookupMappingsRequest, BatchLookupMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { LookupMappingRequest, LookupMappingResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { canonicalPrefix, isAddress } from "#lib/mapping/prefix.ts";
import { requireOperator } from "#lib/rpc/caller.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { invalidArgument, invalidArguments, notFound, unavailable } from "#lib/rpc/errors.ts";
import type { FieldViolation } from "#lib/rpc/errors.ts";
import type { NetworkFeed } from "../core/network-feed.ts";
import type { BarredOperators } from "../out/barred-operators.ts";
import type { NetworkLease, NetworkRegistry } from "../out/network-registry.ts";

/** In one batch (C12). */
export const MAX_LOOKUPS = 1_000;

const LARGEST_NETWORK_ID = 2n ** 63n - 1n;

function faultsOf(request: LookupMappingRequest, path: string): FieldViolation[] {
  const faults: FieldViolation[] = [];
  if (request.networkId === 0n) faults.push({ field: `${path}network_id`, description: "is missing: give the network_id of a VPC" });
  if (!isAddress(request.address)) {
    const given = request.address === "" ? "is missing" : `is ${JSON.stringify(request.address.slice(0, 80))}`;
    faults.push({ field: `${path}address`, description: `${given}: give one IPv4 or IPv6 address without a prefix length` });
  }
  return faults;
}

/** Answer from the index as it stands. Found or not, the version says as of when. */
export function answer(feed: NetworkFeed, address: string): LookupMappingResponse {
  const prefix = canonicalPrefix(address);
  const targets = feed.table.get(prefix);
  const found = targets.length > 0;
  return { found, mapping: found ? { networkId: feed.networkId, prefix, targets } : undefined, version: feed.version, vni: feed.vni };
}

/** Loading a network waits for the database; a caller must not wait for ever. */
async function leaseWithin(networks: NetworkRegistry, networkId: bigint, limitMs: number, signal: AbortSignal): Promise<NetworkLease> {
  if (networkId > LARGEST_NETWORK_ID) throw notFound("network", String(networkId));
  const giveUp = Promise.withResolvers<never>();
  const onAbort = (): void => giveUp.reject(signal.reason);
  const timer = setTimeout(() => giveUp.reject(unavailable(`network ${networkId} could not be loaded in time; repeat the call`)), limitMs);
  signal.addEventListener("abort", onAbort, { once: true });
  const leasing = networks.lease(networkId);
  try {
    const lease = await Promise.race([leasing, giveUp.promise]);
    if (lease === undefined) throw notFound("network", String(networkId));
    return lease;
  } catch (error) {
    // It may yet come, to nobody.
    leasing.then((lease) => lease?.release()).catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** The handlers of both lookups; `limitMs` bounds the wait for a network that is not in memory. */
export function lookups(deps: { networks: NetworkRegistry; operators: BarredOperators; limitMs: number }) {
  const { networks, operators, limitMs } = deps;
  const authorise = async ({ caller, action }: ServerContext): Promise<void> => {
    requireOperator(caller, action);
    await operators.check(caller);
  };
  const answerAll = async (requests: readonly LookupMappingRequest[], signal: AbortSignal): Promise<LookupMappingResponse[]> => {
    const leases = new Map<bigint, NetworkLease>();
    try {
      for (const { networkId } of requests) {
        if (!leases.has(networkId)) leases.set(networkId, await leaseWithin(networks, networkId, limitMs, signal));
      }
      // All loaded; from here on nothing is awaited, so that each network answers as of one version.
      return requests.map(({ networkId, address }) => {
        const lease = leases.get(networkId);
        if (lease === undefined) throw notFound("network", String(networkId));
        return answer(lease.feed, address);
      });
    } finally {
      for (const lease of leases.values()) lease.release();
    }
  };
  return {
    async lookupMapping(request: LookupMappingRequest, context: ServerContext): Promise<LookupMappingResponse> {
      await authorise(context);
      const faults = faultsOf(request, "");
      if (faults.length > 0) throw invalidArguments(faults);
      const [response] = await answerAll([request], context.signal);
      if (response === undefined) throw notFound("network", String(request.networkId));
      return response;
    },
    async batchLookupMappings(request: BatchLookupMappingsRequest, context: ServerContext): Promise<BatchLookupMappingsResponse> {
      await authorise(context);
      const { lookups: asked } = request;
      if (asked.length === 0) throw invalidArgument("lookups", "is empty", `give 1 to ${MAX_LOOKUPS}`);
      if (asked.length > MAX_LOOKUPS) {
        const facts = { limit: String(MAX_LOOKUPS) };
        throw invalidArgument("lookups", `has ${asked.length} elements`, `give 1 to ${MAX_LOOKUPS}`, "LIMIT_EXCEEDED", facts);
      }
      const faults = asked.flatMap((one, index) => faultsOf(one, `lookups[${index}].`));
      if (faults.length > 0) throw invalidArguments(faults);
      return { results: await answerAll(asked, context.signal) };
    },
  };
}
