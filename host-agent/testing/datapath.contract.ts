import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Datapath, Endpoint, Mapping, Ruleset } from "../core/ports.ts";
import { deleteMappings, mappingsOf, putMappings } from "./mapping-batches.ts";

/** One host's data plane, empty at first. */
export interface DatapathHarness {
  open(): Datapath;
  /** Opens again what `open` left pinned, as a restarted agent does. */
  reopen(): Datapath;
  /** Forgets what is pinned, as a reboot does. Nothing is open. */
  loseAll(): void;
  /** ifindex of a device of the host; a new one each time. */
  newDevice(): number;
  /** Somebody takes our program off a device: the filter alone, or all that is attached there. */
  takeProgram(ifindex: number, what: "filter" | "all"): void;
  /** A tunnel device in place of the one that `open` was given. */
  newTunnel(): number;
  dispose(): void;
}

export function endpointExample(ifindex: number, changes: Partial<Endpoint> = {}): Endpoint {
  return {
    wireId: 7,
    vni: 100,
    addresses: ["10.0.0.5"],
    guestMac: "02:00:00:00:00:07",
    gatewayMac: "02:00:00:00:00:01",
    ifindex,
    device: "veth",
    guestMtu: 1450,
    rulesetId: 3,
    groupSetId: 9,
    meterId: 70n,
    sourceDestCheck: true,
    disabled: false,
    ...changes,
  };
}

const ruleset: Ruleset = {
  id: 3,
  rules: [{ direction: "ingress", protocol: 6, portFrom: 80, portTo: 80, peerCidr: "10.0.0.0/8" }],
};

const mapping: Mapping = { vni: 100, prefix: "10.0.0.6/32", hostAddress: "198.18.0.2", wireId: 8, groupSetId: 9 };
const byKey = (a: Mapping, b: Mapping): number => a.vni - b.vni || a.prefix.localeCompare(b.prefix);

/** What every Datapath does. Judging of packets is not here: the oracle's tests do that (D23). */
export function datapathContract(name: string, harness: () => DatapathHarness): void {
  describe(`${name} as Datapath`, () => {
    let host: DatapathHarness;
    let datapath: Datapath;
    beforeEach(() => {
      host = harness();
      datapath = host.open();
    });
    afterEach(() => {
      datapath.close();
      host.dispose();
    });

    const actual = () => {
      const found = datapath.actual();
      return { ...found, mappings: mappingsOf(found.mappings) };
    };

    it("begins empty", () => {
      expect(actual()).toEqual({ endpoints: [], meters: [], rulesetIds: [], mappings: [] });
      expect(datapath.readMeters()).toEqual([]);
    });

    it("refuses an endpoint whose ruleset is absent, and stays closed", () => {
      const endpoint = endpointExample(host.newDevice());
      datapath.guardDevice(endpoint.ifindex);
      datapath.putMeter(endpoint);
      expect(() => datapath.putEndpoint(endpoint)).toThrow(/ruleset/i);
      expect(datapath.actual().endpoints).toEqual([]);
    });

    it("tells which devices run its program no longer, and guards them again", () => {
      const [first, second, never] = [host.newDevice(), host.newDevice(), host.newDevice()];
      for (const ifindex of [first, second]) datapath.guardDevice(ifindex);
      expect(datapath.unguarded([first, second])).toEqual([]);
      expect(datapath.unguarded([first, never, second])).toEqual([never]);
      for (const what of ["filter", "all"] as const) {
        host.takeProgram(second, what);
        expect(datapath.unguarded([first, second])).toEqual([second]);
        datapath.guardDevice(second);
        expect(datapath.unguarded([first, second])).toEqual([]);
      }
    });

    it("guards a tunnel device that was made anew", () => {
      const tunnel = host.newTunnel();
      expect(datapath.isTunnelGuarded(tunnel)).toBe(false);
      datapath.guardTunnel(tunnel);
      expect(datapath.isTunnelGuarded(tunnel)).toBe(true);
      host.takeProgram(tunnel, "all");
      expect(datapath.isTunnelGuarded(tunnel)).toBe(false);
      datapath.guardTunnel(tunnel);
      expect(datapath.isTunnelGuarded(tunnel)).toBe(true);
    });

    it("holds what was put, once, however often it was put", () => {
      const endpoint = endpointExample(host.newDevice());
      for (let repeat = 0; repeat < 2; repeat++) {
        datapath.guardDevice(endpoint.ifindex);
        datapath.putRuleset(ruleset);
        datapath.putMeter(endpoint);
        datapath.putEndpoint(endpoint);
        putMappings(datapath, [mapping]);
      }
      expect(actual()).toEqual({
        endpoints: [endpoint],
        meters: [{ wireId: 7, meterId: 70n }],
        rulesetIds: [3],
        mappings: [mapping],
      });
    });

    it("keeps the rules of a number, and says whether it has these", () => {
      const others = { ...ruleset, rules: [] };
      expect(datapath.compareRuleset(ruleset)).toBe("absent");
      datapath.putRuleset(ruleset);
      expect([datapath.compareRuleset(ruleset), datapath.compareRuleset(others)]).toEqual(["same", "other"]);
      expect(() => datapath.putRuleset(others)).toThrow("other rules");
      datapath.deleteRuleset(ruleset.id);
      expect(datapath.compareRuleset(ruleset)).toBe("absent");
    });

    it("replaces an endpoint that changes", () => {
      const endpoint = endpointExample(host.newDevice());
      datapath.guardDevice(endpoint.ifindex);
      datapath.putRuleset(ruleset);
      datapath.putRuleset({ id: 4, rules: [] });
      datapath.putMeter(endpoint);
      datapath.putEndpoint(endpoint);
      const changed = {
        ...endpoint,
        rulesetId: 4,
        groupSetId: 10,
        addresses: ["10.0.0.5", "10.0.0.50"],
        sourceDestCheck: false,
        disabled: true,
      };
      datapath.putEndpoint(changed);
      expect(datapath.actual().endpoints).toEqual([changed]);
      datapath.deleteRuleset(3);
      expect(datapath.actual().rulesetIds).toEqual([4]);
    });

    it("moves an endpoint to a device that was made anew", () => {
      const endpoint = endpointExample(host.newDevice());
      datapath.putRuleset(ruleset);
      datapath.guardDevice(endpoint.ifindex);
      datapath.putMeter(endpoint);
      datapath.putEndpoint(endpoint);
      const moved = { ...endpoint, ifindex: host.newDevice() };
      datapath.guardDevice(moved.ifindex);
      datapath.putEndpoint(moved);
      expect(datapath.actual().endpoints).toEqual([moved]);
    });

    it("keeps the counters of a closed endpoint until they are dropped", () => {
      const endpoint = endpointExample(host.newDevice());
      datapath.guardDevice(endpoint.ifindex);
      datapath.putRuleset(ruleset);
      datapath.putMeter(endpoint);
      datapath.putEndpoint(endpoint);
      const zero = { meterId: 70n, packets: 0n, bytes: 0n, rawBytes: 0n };
      const readings = [
        { ...zero, direction: "egress" },
        { ...zero, direction: "ingress" },
      ];
      const sorted = (): unknown => datapath.readMeters().sort((a, b) => a.direction.localeCompare(b.direction));
      expect(sorted()).toEqual(readings);
      datapath.closeEndpoint(endpoint.wireId);
      datapath.closeEndpoint(endpoint.wireId);
      expect(datapath.actual()).toMatchObject({ endpoints: [], meters: [{ wireId: 7, meterId: 70n }] });
      expect(sorted()).toEqual(readings);
      datapath.dropMeter(endpoint.wireId, endpoint.meterId);
      datapath.dropMeter(endpoint.wireId, endpoint.meterId);
      expect(datapath.readMeters()).toEqual([]);
      expect(datapath.actual().meters).toEqual([]);
    });

    it("keeps drop counters and budget for another meter of the attachment, and reads what it is asked for", () => {
      const [one, two] = [endpointExample(host.newDevice()), endpointExample(0, { meterId: 71n })];
      datapath.putMeter(one);
      datapath.putMeter(two);
      expect(datapath.readMeters([71n, 404n]).map(({ meterId }) => meterId)).toEqual([71n, 71n]);
      expect(datapath.readDrops([7, 404])).toEqual([]);
      datapath.dropMeter(7, 70n, true);
      expect(datapath.actual().meters).toEqual([{ wireId: 7, meterId: 71n }]);
      expect(datapath.readMeters([70n])).toEqual([]);
    });

    it("counts under one epoch while there is a meter, and under a later one when it begins from nothing", () => {
      datapath.close();
      datapath = host.reopen();
      const first = datapath.counterEpoch();
      expect(first).toBeGreaterThan(0n);
      expect(first).toBeLessThan(2n ** 63n);
      datapath.putMeter(endpointExample(0));
      datapath.close();
      datapath = host.reopen();
      expect(datapath.counterEpoch()).toBe(first);
      datapath.close();
      host.loseAll();
      datapath = host.reopen();
      expect(datapath.counterEpoch()).toBeGreaterThan(first);
    });

    it("keeps one address of two networks apart", () => {
      const twin = { ...mapping, vni: 101, hostAddress: "198.18.0.3", wireId: 80 };
      putMappings(datapath, [mapping, twin]);
      expect(mappingsOf(datapath.actual().mappings).sort(byKey)).toEqual([mapping, twin]);
      deleteMappings(datapath, [{ vni: 100, prefix: mapping.prefix }]);
      expect(mappingsOf(datapath.actual().mappings)).toEqual([twin]);
    });

    it("replaces a mapping that moves, and takes 1,000 at once", () => {
      const many = Array.from({ length: 1000 }, (_, i) => ({ ...mapping, prefix: `10.1.${i >> 8}.${i & 255}/32`, wireId: 1000 + i }));
      putMappings(datapath, many);
      putMappings(datapath, []);
      const moved = { ...many[0]!, hostAddress: "198.18.0.9", wireId: 5 };
      putMappings(datapath, [moved]);
      const after = mappingsOf(datapath.actual().mappings);
      expect(after).toHaveLength(1000);
      expect(after.find((m) => m.prefix === moved.prefix)).toEqual(moved);
      deleteMappings(datapath, many);
      expect(mappingsOf(datapath.actual().mappings)).toEqual([]);
    });

    it("shrugs at ids it does not know", () => {
      datapath.closeEndpoint(404);
      datapath.dropMeter(404, 404n);
      datapath.deleteRuleset(404);
      deleteMappings(datapath, [{ vni: 404, prefix: "10.9.9.9/32" }]);
      expect(actual()).toEqual({ endpoints: [], meters: [], rulesetIds: [], mappings: [] });
    });

    it("is found as it was by the agent's successor", () => {
      const endpoint = endpointExample(host.newDevice());
      datapath.guardDevice(endpoint.ifindex);
      datapath.putRuleset(ruleset);
      datapath.putMeter(endpoint);
      datapath.putEndpoint(endpoint);
      putMappings(datapath, [mapping]);
      datapath.close();
      datapath = host.reopen();
      expect(actual()).toEqual({
        endpoints: [endpoint],
        meters: [{ wireId: 7, meterId: 70n }],
        rulesetIds: [3],
        mappings: [mapping],
      });
      expect(datapath.readMeters()).toHaveLength(2);
    });
  });
}
