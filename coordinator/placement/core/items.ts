import type { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { wantedOnHost } from "./instance-state.ts";

/** What its host is told of an instance. What is to go has no process and acts as nobody: nothing would start it, and hosts hold such items for a while. */
export function instanceItem(of: {
  readonly instance_id: string;
  readonly generation: bigint;
  readonly state: InstanceState;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly acts_as: string;
}): HostItem {
  const wanted = wantedOnHost(of.state);
  const process =
    wanted === Wanted.PRESENT ? { argv: [...of.argv], env: { ...of.env }, actsAs: of.acts_as } : { argv: [], env: {}, actsAs: "" };
  const value = { instanceId: of.instance_id, generation: of.generation, wanted, ...process };
  return { item: { $case: "instance", value } };
}
