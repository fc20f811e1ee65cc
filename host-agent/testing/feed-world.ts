import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { AttachmentItem, HostItem, InstanceItem, PeerGroupItem, RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { Mapping } from "../core/ports.ts";

export const GATEWAY_MAC = "02:00:5e:00:01:01";

export function instanceItem(n: number, changes: Partial<InstanceItem> = {}): InstanceItem {
  const argv = n % 2 === 0 ? ["/bin/sleep", "1000"] : [];
  return { instanceId: `i-${n}`, generation: 1n, wanted: Wanted.PRESENT, argv, env: {}, actsAs: "", ...changes };
}

/** Attachment n is in network (and VNI) 100 + n modulo 3. */
export function attachmentItem(n: number, instance: number, changes: Partial<AttachmentItem> = {}): AttachmentItem {
  const network = 100 + (n % 3);
  return {
    attachmentId: `eni-attach-${n}`,
    generation: 1n,
    wanted: Wanted.PRESENT,
    wireId: n,
    instanceId: `i-${instance}`,
    deviceIndex: 0,
    networkId: BigInt(network),
    vni: network,
    addresses: [`10.0.${network}.${n}/24`],
    gateway: `10.0.${network}.254`,
    macAddress: `02:00:00:00:00:${n.toString(16).padStart(2, "0")}`,
    gatewayMac: GATEWAY_MAC,
    rulesetId: 1,
    groupSetId: 1,
    meterId: BigInt(1000 + n),
    sourceDestCheck: true,
    disabled: false,
    dnsServers: n % 2 === 0 ? [`10.0.${network}.2`, `10.8.8.${n}`] : [],
    ...changes,
  };
}

export function rulesetItem(id: number, changes: Partial<RulesetItem> = {}): RulesetItem {
  const rule = {
    egress: false,
    protocol: 6,
    portFrom: id,
    portTo: id,
    peerCidr: "10.0.0.0/8",
    peerIsGroup: false,
    peerGroupSetIds: [],
    peerGroupId: "",
  };
  return { rulesetId: id, wanted: Wanted.PRESENT, rules: [rule], ...changes };
}

/** Rules whose peers are groups `sg-0` or `sg-1`, by turns, and a block; `sets`: those of each group. */
export function namingRulesetItem(id: number, sets: readonly (readonly number[])[]): RulesetItem {
  const naming = [id % 2, 1 - (id % 2), id % 2].map((group, index) => ({
    ...{ egress: index === 2, protocol: 17, portFrom: id + index, portTo: id + index, peerCidr: "", peerIsGroup: true },
    ...{ peerGroupSetIds: [...(sets[group] ?? [])], peerGroupId: `sg-${group}` },
  }));
  return rulesetItem(id, { rules: [...rulesetItem(id).rules, ...naming] });
}

export const instance = (value: InstanceItem): HostItem => ({ item: { $case: "instance", value } });
export const attachment = (value: AttachmentItem): HostItem => ({ item: { $case: "attachment", value } });
export const ruleset = (value: RulesetItem): HostItem => ({ item: { $case: "ruleset", value } });
export const peerGroup = (value: PeerGroupItem): HostItem => ({ item: { $case: "peerGroup", value } });

/** One thing that happens in the control plane; numbers are read modulo what there is. */
export type WorldEvent =
  | { kind: "run"; instance: number }
  | { kind: "terminate"; instance: number }
  | { kind: "attach"; instance: number }
  | { kind: "detach"; attachment: number }
  | { kind: "return"; attachment: number }
  | { kind: "rules"; attachment: number; ruleset: number }
  | { kind: "sets"; group: number; set: number }
  | { kind: "address"; attachment: number; octet: number }
  | { kind: "map"; network: number; octet: number; host: number }
  | { kind: "unmap"; network: number; octet: number };

/** A change to the host's scope, or to one network's. */
export type WorldChange =
  { scope: "host"; items: HostItem[] } | { scope: "network"; networkId: bigint; prefix: string; mapping: Mapping | undefined };

/** The coordinator's and the mapping service's side of one host: applies events, tells the changes, gives snapshots. */
export class FeedWorld {
  readonly instances = new Map<string, InstanceItem>();
  readonly attachments = new Map<string, AttachmentItem>();
  readonly rulesets = new Map<number, RulesetItem>([[1, rulesetItem(1)]]);
  /** Sets that contain `sg-0` and `sg-1`. */
  readonly sets: [Set<number>, Set<number>] = [new Set([1]), new Set()];
  readonly networks = new Map<bigint, Map<string, Mapping>>([100, 101, 102].map((vni) => [BigInt(vni), new Map()]));
  #nextInstance = 1;
  #nextAttachment = 1;

  /** Undefined: nothing to do (no such thing, or it may not go yet). */
  apply(event: WorldEvent): WorldChange | undefined {
    switch (event.kind) {
      case "run":
        return this.#host([instance(this.#setInstance(instanceItem(this.#nextInstance++)))]);
      case "terminate": {
        const item = this.#pick(this.#present(this.instances), event.instance);
        if (item === undefined) return undefined;
        const detached = this.#present(this.attachments).filter((a) => a.instanceId === item.instanceId);
        return this.#host([
          ...detached.map((a) => this.#detach(a)),
          instance(this.#setInstance({ ...item, wanted: Wanted.ABSENT, generation: item.generation + 1n })),
        ]);
      }
      case "attach": {
        const on = this.#pick(this.#present(this.instances), event.instance);
        if (on === undefined || this.#nextAttachment > 250) return undefined;
        // As soon as the coordinator has asked for its removal, a device's index is free again.
        const used = new Set(this.#present(this.attachments).flatMap((a) => (a.instanceId === on.instanceId ? [a.deviceIndex] : [])));
        let deviceIndex = 0;
        while (used.has(deviceIndex)) deviceIndex += 1;
        const item = attachmentItem(this.#nextAttachment++, Number(on.instanceId.slice(2)), { deviceIndex });
        return this.#host([ruleset(rulesetItem(1)), attachment(this.#setAttachment(item))]);
      }
      case "detach": {
        const item = this.#pick(this.#present(this.attachments), event.attachment);
        return item && this.#host([this.#detach(item)]);
      }
      case "return": {
        // As when its instance is stopped and started: the same attachment, another meter.
        const going = [...this.attachments.values()].filter((a) => a.wanted === Wanted.ABSENT);
        const item = this.#pick(going, event.attachment);
        if (item === undefined || this.instances.get(item.instanceId)?.wanted !== Wanted.PRESENT) return undefined;
        const siblings = this.#present(this.attachments).filter((a) => a.instanceId === item.instanceId);
        if (siblings.some((a) => a.deviceIndex === item.deviceIndex)) return undefined;
        const back = { ...item, wanted: Wanted.PRESENT, rulesetId: 1, meterId: item.meterId + 1000n, generation: item.generation + 1n };
        return this.#host([ruleset(rulesetItem(1)), attachment(this.#setAttachment(back))]);
      }
      case "rules": {
        const item = this.#pick(this.#present(this.attachments), event.attachment);
        if (item === undefined) return undefined;
        const rules = this.#setRules(1 + (event.ruleset % 4));
        const changed = { ...item, rulesetId: rules.rulesetId, generation: item.generation + 1n };
        return this.#host([ruleset(rules), attachment(this.#setAttachment(changed)), ...this.#unusedRulesets()]);
      }
      case "sets": {
        // One comes, or goes if it is there: everybody hears of it whose rules name the group.
        const [securityGroupId, set, own] = [`sg-${event.group % 2}`, 1 + (event.set % 6), this.sets[event.group % 2 === 0 ? 0 : 1]];
        const gone = own.delete(set);
        if (!gone) own.add(set);
        for (const id of this.rulesets.keys()) this.#setRules(id);
        return this.#host([peerGroup({ securityGroupId, addedGroupSetIds: gone ? [] : [set], removedGroupSetIds: gone ? [set] : [] })]);
      }
      case "address": {
        const item = this.#pick(this.#present(this.attachments), event.attachment);
        if (item === undefined) return undefined;
        const addresses = [item.addresses[0] ?? "", `10.9.${item.vni}.${event.octet % 250}/24`];
        return this.#host([attachment(this.#setAttachment({ ...item, addresses, generation: item.generation + 1n }))]);
      }
      case "map":
      case "unmap": {
        const vni = 100 + (event.network % 3);
        const prefix = `10.0.${vni}.${event.octet % 250}/32`;
        const mapping =
          event.kind === "unmap"
            ? undefined
            : { vni, prefix, hostAddress: `198.18.0.${event.host % 9}`, wireId: 5000 + event.octet, groupSetId: 1 };
        const network = this.networks.get(BigInt(vni));
        if (mapping === undefined) network?.delete(prefix);
        else network?.set(prefix, mapping);
        return { scope: "network", networkId: BigInt(vni), prefix, mapping };
      }
    }
  }

  /** While no session was open: what was to go was acknowledged long ago, and `n` decides which others were forced away. */
  forget(n: number): void {
    for (const items of [this.attachments, this.instances]) {
      for (const [id, { wanted }] of [...items]) if (wanted === Wanted.ABSENT) items.delete(id);
    }
    const forced = this.#pick(this.#present(this.attachments), n);
    if (forced !== undefined && n % 2 === 0) this.attachments.delete(forced.attachmentId);
  }

  /** Every item of the host, those to go included. */
  snapshot(): HostItem[] {
    return [
      ...[...this.rulesets.values()].map(ruleset),
      ...[...this.instances.values()].map(instance),
      ...[...this.attachments.values()].map(attachment),
    ];
  }

  #unusedRulesets(): HostItem[] {
    const used = new Set([...this.#present(this.attachments).map((a) => a.rulesetId), 1]);
    const unused = [...this.rulesets.values()].filter((r) => !used.has(r.rulesetId));
    for (const { rulesetId } of unused) this.rulesets.delete(rulesetId);
    return unused.map((r) => ruleset({ ...r, wanted: Wanted.ABSENT }));
  }

  /** The first names no group: it is what it always was. */
  #setRules(id: number): RulesetItem {
    const item =
      id === 1
        ? rulesetItem(1)
        : namingRulesetItem(
            id,
            this.sets.map((own) => [...own].sort()),
          );
    this.rulesets.set(id, item);
    return item;
  }

  #detach(item: AttachmentItem): HostItem {
    return attachment(this.#setAttachment({ ...item, wanted: Wanted.ABSENT, generation: item.generation + 1n }));
  }

  #setInstance(item: InstanceItem): InstanceItem {
    this.instances.set(item.instanceId, item);
    return item;
  }

  #setAttachment(item: AttachmentItem): AttachmentItem {
    this.attachments.set(item.attachmentId, item);
    return item;
  }

  #host(items: HostItem[]): WorldChange {
    return { scope: "host", items };
  }

  #present<T extends { wanted: Wanted }>(items: ReadonlyMap<string, T>): T[] {
    return [...items.values()].filter((item) => item.wanted === Wanted.PRESENT);
  }

  #pick<T>(items: readonly T[], n: number): T | undefined {
    return items[n % Math.max(1, items.length)];
  }
}
