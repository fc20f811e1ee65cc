import type { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { wantedOnHost } from "./instance-state.ts";

/** What its host is told of an instance. */
export function instanceItem(of: {
  readonly instance_id: string;
  readonly generation: bigint;
  readonly state: InstanceState;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}): HostItem {
  const value = {
    instanceId: of.instance_id,
    generation: of.generation,
    wanted: wantedOnHost(of.state),
    argv: [...of.argv],
    env: { ...of.env },
  };
  return { item: { $case: "instance", value } };
}
