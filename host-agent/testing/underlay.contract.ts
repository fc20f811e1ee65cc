import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Underlay } from "../core/ports.ts";

export interface UnderlayHarness {
  /** A host whose substrate device has an MTU of 1400. */
  underlay: Underlay;
  /** Cuts and mends the substrate device's cable. */
  setCarrier(on: boolean): void;
  /** Somebody sets the tunnel device down, or removes it. */
  setTunnel(what: "down" | "gone"): void;
  /** Takes the substrate address away from the host's device. */
  loseAddress(): void;
  dispose(): void;
}

/** What every Underlay does. */
export function underlayContract(name: string, harness: () => UnderlayHarness): void {
  describe(`${name} as Underlay`, () => {
    let host: UnderlayHarness;
    beforeEach(() => {
      host = harness();
    });
    afterEach(() => host.dispose());

    it("has one tunnel device, however often it is asked for", () => {
      const ifindex = host.underlay.ensureTunnel();
      expect(ifindex).toBeGreaterThan(0);
      expect(host.underlay.ensureTunnel()).toBe(ifindex);
    });

    it("tells how device and tunnel stand, and makes the tunnel as it is to be", () => {
      expect(host.underlay.look()).toEqual({ deviceTrouble: undefined, guestMtu: 1350, tunnelIfindex: undefined });
      const first = host.underlay.ensureTunnel();
      const ready = { deviceTrouble: undefined, guestMtu: 1350, tunnelIfindex: first };
      expect(host.underlay.look()).toEqual(ready);
      host.setTunnel("down");
      expect(host.underlay.look()).toEqual({ ...ready, tunnelIfindex: undefined });
      expect(host.underlay.ensureTunnel()).toBe(first);
      host.setTunnel("gone");
      expect(host.underlay.look()).toEqual({ ...ready, tunnelIfindex: undefined });
      expect(host.underlay.look().tunnelIfindex).toBeUndefined();
      expect(host.underlay.ensureTunnel()).not.toBe(first);
      host.setCarrier(false);
      expect(host.underlay.look().deviceTrouble).toMatch(/sub0.* no carrier/);
      host.setCarrier(true);
      expect(host.underlay.look().deviceTrouble).toBeUndefined();
      host.loseAddress();
      expect(host.underlay.look()).toMatchObject({ deviceTrouble: expect.stringContaining("substrate address"), guestMtu: undefined });
    });

    it("tells the MTU of the device that holds the host's address, and says so when none does", () => {
      expect(host.underlay.substrateMtu()).toBe(1400);
      host.loseAddress();
      expect(() => host.underlay.substrateMtu()).toThrow(/substrate address/);
      expect(() => host.underlay.ensureTunnel()).toThrow(/substrate address/);
    });
  });
}
