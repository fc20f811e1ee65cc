import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Rule } from "../../core/ports.ts";
import { inNamespace } from "../../testing/guest-shell.ts";
import { ALLOW_ALL, dropsOf, Lab, mappingOf, type LabGuest, type LabHost } from "./testing/lab.ts";

const ICMP = 1;
const TCP = 6;

let lab: Lab;
let a: LabHost;
let b: LabHost;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  b = lab.host("b", "198.18.0.2");
});
afterAll(() => lab.dispose());

/** True if at least one of two echoes is answered. */
async function reaches(from: LabGuest, to: string): Promise<boolean> {
  return (await inNamespace(from.path, "ping", "-c", "2", "-i", "0.05", "-W", "1", to)).ok;
}

describe("delivery", () => {
  test("passes between hosts and inside one, and stops where an end closes", async () => {
    const one = lab.openGuest(a, "10.1.0.1");
    const near = lab.openGuest(a, "10.1.0.2");
    const far = lab.openGuest(b, "10.1.0.3");
    expect(await reaches(one, near.address)).toBe(true);
    expect(await reaches(one, far.address)).toBe(true);
    expect(await reaches(far, near.address)).toBe(true);

    b.datapath.closeEndpoint(far.endpoint.wireId);
    expect(await reaches(one, far.address)).toBe(false);
    expect(dropsOf(b, 0)["TARGET_CLOSED"]).toBeGreaterThan(0n);
    b.datapath.putEndpoint(far.endpoint);
    expect(await reaches(one, far.address)).toBe(true);
  });

  test("is closed before an endpoint is put: nothing leaves, nothing arrives", async () => {
    const peer = lab.openGuest(b, "10.2.0.2");
    const fresh = lab.guest(a, "10.2.0.1");
    a.datapath.putRuleset({ id: fresh.endpoint.rulesetId, rules: ALLOW_ALL });
    lab.announce(mappingOf(fresh));
    const before = dropsOf(a, 0)["NOT_CONFIGURED"] ?? 0n;
    expect(await reaches(fresh, peer.address)).toBe(false);
    expect(dropsOf(a, 0)["NOT_CONFIGURED"]).toBeGreaterThan(before);
    a.datapath.putEndpoint(fresh.endpoint);
    expect(await reaches(fresh, peer.address)).toBe(true);
  });

  test("keeps two networks with the same addresses apart", async () => {
    const red = { vni: 801 };
    const blue = { vni: 802 };
    const redOne = lab.openGuest(a, "10.3.0.1", red);
    const blueOne = lab.openGuest(a, "10.3.0.1", blue);
    const redTwo = lab.openGuest(b, "10.3.0.2", red);
    const blueOnly = lab.openGuest(b, "10.3.0.3", blue);
    expect(await reaches(redOne, redTwo.address)).toBe(true);
    expect(await reaches(blueOne, blueOnly.address)).toBe(true);
    expect(await reaches(blueOne, redTwo.address)).toBe(false);
    expect(await reaches(redOne, blueOnly.address)).toBe(false);
    expect(dropsOf(a, redOne.endpoint.wireId)["NO_MAPPING"]).toBeGreaterThan(0n);
  });

  test("follows a mapping that moves to another host", async () => {
    const one = lab.openGuest(a, "10.4.0.1");
    const before = lab.openGuest(a, "10.4.0.2");
    expect(await reaches(one, before.address)).toBe(true);
    a.datapath.closeEndpoint(before.endpoint.wireId);
    expect(await reaches(one, "10.4.0.2")).toBe(false);
    const after = lab.openGuest(b, "10.4.0.2");
    expect(await reaches(one, after.address)).toBe(true);
  });
});

describe("rules", () => {
  const allow = (direction: Rule["direction"], protocol: number, peerCidr: string, ports: [number, number] = [0, 65535]): Rule => ({
    ...{ direction, protocol, peerCidr },
    ...{ portFrom: ports[0], portTo: ports[1] },
  });

  /** Rules of one guest against a guest that allows everything; judged by whether echoes come back. */
  async function withRules(rules: readonly Rule[], address: string): Promise<boolean> {
    const open = lab.openGuest(b, "10.5.0.250", { vni: 900 + Number(address.split(".")[3]) });
    const judged = lab.openGuest(a, address, { vni: open.endpoint.vni }, rules);
    return reaches(judged, open.address);
  }

  test("pass what one allows to begin, and its answers, and deny the rest", async () => {
    const both = [allow("egress", ICMP, "10.5.0.0/24"), allow("ingress", ICMP, "10.5.0.250/32")];
    expect(await withRules(both, "10.5.0.1")).toBe(true);
    expect(await withRules([], "10.5.0.2")).toBe(false);
    expect(await withRules(both.slice(0, 1), "10.5.0.3"), "an answer needs no rule").toBe(true);
    expect(await withRules(both.slice(1), "10.5.0.4")).toBe(false);
    expect(await withRules([allow("egress", TCP, "10.5.0.0/24"), allow("ingress", TCP, "10.5.0.0/24")], "10.5.0.5")).toBe(false);
    expect(await withRules([allow("egress", 0, "::/0"), allow("ingress", 0, "::/0")], "10.5.0.10")).toBe(false);
    expect(await withRules([allow("egress", 0, "10.5.0.249/32"), allow("ingress", 0, "0.0.0.0/0")], "10.5.0.6")).toBe(false);
    expect(await withRules([allow("egress", ICMP, "0.0.0.0/0", [8, 8])], "10.5.0.7")).toBe(true);
    expect(await withRules([allow("egress", ICMP, "0.0.0.0/0", [0, 0])], "10.5.0.8")).toBe(false);
  });

  test("judge the last of 256 rules a direction, and refuse a 257th", async () => {
    const filler = (direction: Rule["direction"]): Rule[] =>
      Array.from({ length: 255 }, (_, i) => allow(direction, TCP, `192.0.2.${i}/32`, [i, i]));
    const full = [...filler("egress"), allow("egress", ICMP, "0.0.0.0/0"), ...filler("ingress"), allow("ingress", ICMP, "0.0.0.0/0")];
    expect(await withRules(full, "10.5.0.9")).toBe(true);
    expect(() => a.datapath.putRuleset({ id: 257, rules: [...full, allow("egress", ICMP, "0.0.0.0/0")] })).toThrow("at most 256");
  });

  test("change for an endpoint with its next packet", async () => {
    const vni = 950;
    const peer = lab.openGuest(b, "10.6.0.2", { vni });
    const one = lab.openGuest(a, "10.6.0.1", { vni });
    expect(await reaches(one, peer.address)).toBe(true);
    a.datapath.putRuleset({ id: 77, rules: [] });
    a.datapath.putEndpoint({ ...one.endpoint, rulesetId: 77 });
    expect(await reaches(one, peer.address)).toBe(false);
    expect(dropsOf(a, one.endpoint.wireId)["RULE_EGRESS"]).toBeGreaterThan(0n);
    expect(() => a.datapath.putRuleset({ id: 77, rules: ALLOW_ALL })).toThrow("immutable");
    a.datapath.putEndpoint(one.endpoint);
    expect(await reaches(one, peer.address)).toBe(true);
  });
});
