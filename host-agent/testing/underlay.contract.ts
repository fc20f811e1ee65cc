import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Underlay } from "../core/ports.ts";

export interface UnderlayHarness {
  /** A host whose substrate device has an MTU of 1400. */
  underlay: Underlay;
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

    it("tells the MTU of the device that holds the host's address, and says so when none does", () => {
      expect(host.underlay.substrateMtu()).toBe(1400);
      host.loseAddress();
      expect(() => host.underlay.substrateMtu()).toThrow(/substrate address/);
      expect(() => host.underlay.ensureTunnel()).toThrow(/substrate address/);
    });
  });
}
