import type { WatchMappingsRequest } from "#gen/plenum/mapping/v1/mapping.ts";
import { requireHost } from "#lib/rpc/caller.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import type { Frame } from "../core/frames.ts";
import type { BarredHosts } from "../out/barred-hosts.ts";
import type { BarredOperators } from "../out/barred-operators.ts";
import type { NetworkRegistry } from "../out/network-registry.ts";
import type { WatchAuthority } from "../out/watch-authority.ts";
import { EncodedMappingService } from "./encoded-service.ts";
import { HostStream } from "./host-stream.ts";
import { lookups } from "./lookup.ts";

export interface MappingHandlers {
  readonly networks: NetworkRegistry;
  readonly authority: WatchAuthority;
  readonly operators: BarredOperators;
  readonly hosts: BarredHosts;
  /** Longest wait of a lookup for a network that is not in memory; milliseconds. */
  readonly loadLimitMs: number;
  /** Told of each stream's begin (+1) and end (-1), and of each frame's size. */
  readonly onStream: (change: 1 | -1) => void;
  readonly onFrame: (octets: number) => void;
}

/** `plenum.mapping.v1.MappingService`, for both listeners: who may call what is decided by who calls, not by where. */
export function mappingBinding(handlers: MappingHandlers): ServiceBinding {
  const { networks, authority, operators, hosts, onStream, onFrame } = handlers;
  return bind(EncodedMappingService, {
    ...lookups({ networks, operators, limitMs: handlers.loadLimitMs }),
    async *watchMappings(requests: AsyncIterable<WatchMappingsRequest>, context: ServerContext): AsyncGenerator<Frame, void, undefined> {
      const hostId = requireHost(context.caller, context.action);
      const admitted = await hosts.admit(hostId);
      onStream(1);
      try {
        const signal = AbortSignal.any([context.signal, admitted.over]);
        const stream = new HostStream({ hostId, networks, authority, signal });
        for await (const frame of stream.frames(requests)) {
          onFrame(frame.length);
          yield frame;
        }
      } finally {
        onStream(-1);
        admitted.close();
      }
    },
  });
}
