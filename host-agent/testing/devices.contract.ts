import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Device, Devices, DeviceSpec, FoundDevice } from "../core/ports.ts";

/** A device as the guest sees it. */
export interface GuestView {
  mac: string;
  mtu: number;
  up: boolean;
  /** With prefix lengths, in any order. */
  addresses: string[];
}

/** One host with instances "i-one" and "i-two" on it. */
export interface DevicesHarness {
  devices: Devices;
  /** As a restarted agent would open them. */
  reopen(): Devices;
  guest(instanceId: string, deviceIndex: number): GuestView | undefined;
  /** Whether the host's end is up. */
  hostEndUp(ifindex: number): boolean;
  /** Sets the host's end, or the guest's, down. */
  setDown(device: Device, end: "host" | "guest"): void;
  /** The guest deletes its device; returns when the host's end is gone (D24). */
  deleteInGuest(instanceId: string, deviceIndex: number): void;
  dispose(): void;
}

export function deviceExample(changes: Partial<DeviceSpec> = {}): DeviceSpec {
  return {
    wireId: 0xa1,
    instanceId: "i-one",
    deviceIndex: 0,
    guestMac: "02:00:00:00:00:a1",
    gatewayMac: "02:00:00:00:00:01",
    guestMtu: 1450,
    addresses: ["10.0.1.5/24"],
    gateways: ["10.0.1.1"],
    ...changes,
  };
}

const found = (device: Device, changes: Partial<FoundDevice> = {}): FoundDevice => ({ ...device, up: true, mtu: 1450, ...changes });

/** What every Devices does. */
export function devicesContract(name: string, harness: () => DevicesHarness): void {
  describe(`${name} as Devices`, () => {
    let host: DevicesHarness;
    const noGuard = (): void => {};
    beforeEach(() => {
      host = harness();
    });
    afterEach(() => host.dispose());

    it("makes a device that the guest can use, guarded before it is up", () => {
      const guarded: number[] = [];
      const device = host.devices.ensure(deviceExample(), (ifindex) => {
        expect(host.hostEndUp(ifindex)).toBe(false);
        expect(host.guest("i-one", 0)?.up ?? false).toBe(false);
        guarded.push(ifindex);
      });
      expect(guarded).toEqual([device.ifindex]);
      expect(device).toEqual({ wireId: 0xa1, instanceId: "i-one", ifindex: device.ifindex });
      expect(host.hostEndUp(device.ifindex)).toBe(true);
      expect(host.guest("i-one", 0)).toEqual({ mac: "02:00:00:00:00:a1", mtu: 1450, up: true, addresses: ["10.0.1.5/24"] });
    });

    it("keeps the device when asked again, also by the agent's successor", () => {
      const first = host.devices.ensure(deviceExample(), noGuard);
      expect(host.devices.ensure(deviceExample(), noGuard)).toEqual(first);
      const successor = host.reopen();
      expect(successor.list()).toEqual([found(first)]);
      expect(successor.ensure(deviceExample(), noGuard)).toEqual(first);
    });

    it("changes addresses and MTU without making it anew", () => {
      const first = host.devices.ensure(deviceExample(), noGuard);
      const addresses = ["10.0.1.6/24", "10.0.1.7/24"];
      expect(host.devices.ensure(deviceExample({ addresses, guestMtu: 1400 }), noGuard)).toEqual(first);
      const guest = host.guest("i-one", 0);
      expect(guest?.mtu).toBe(1400);
      expect(guest?.addresses.sort()).toEqual(addresses);
    });

    it("gives an instance several devices, and each instance its own", () => {
      const specs = [
        deviceExample(),
        deviceExample({ wireId: 0xa2, deviceIndex: 1, guestMac: "02:00:00:00:00:a2", addresses: ["10.0.2.5/24"], gateways: ["10.0.2.1"] }),
        deviceExample({ wireId: 0xffffffff, instanceId: "i-two", guestMac: "02:00:00:00:00:b1" }),
      ];
      const devices = specs.map((spec) => host.devices.ensure(spec, noGuard));
      expect(host.devices.list().sort((a, b) => a.wireId - b.wireId)).toEqual(devices.map((one) => found(one)));
      expect(specs.map((spec) => host.guest(spec.instanceId, spec.deviceIndex)?.mac)).toEqual(specs.map((spec) => spec.guestMac));
    });

    it("rebuilds what the guest has deleted", () => {
      host.devices.ensure(deviceExample(), noGuard);
      host.deleteInGuest("i-one", 0);
      expect(host.devices.list()).toEqual([]);
      const guarded: number[] = [];
      const again = host.devices.ensure(deviceExample(), (ifindex) => guarded.push(ifindex));
      expect(guarded).toEqual([again.ifindex]);
      expect(host.guest("i-one", 0)?.up).toBe(true);
      expect(host.devices.list()).toEqual([found(again)]);
    });

    it("tells of a device that somebody set down, and sets it up again", () => {
      const device = host.devices.ensure(deviceExample(), noGuard);
      for (const end of ["host", "guest"] as const) {
        expect(host.devices.list()).toEqual([found(device)]);
        host.setDown(device, end);
        expect(host.devices.list()).toEqual([found(device, { up: false })]);
        expect(host.devices.ensure(deviceExample(), noGuard)).toEqual(device);
      }
      host.devices.ensure(deviceExample({ guestMtu: 1400 }), noGuard);
      expect(host.devices.list()).toEqual([found(device, { mtu: 1400 })]);
    });

    it("removes both ends, and shrugs at what is not there", () => {
      const device = host.devices.ensure(deviceExample(), noGuard);
      host.devices.remove([device.wireId]);
      host.devices.remove([device.wireId]);
      host.devices.remove([0xdead]);
      host.devices.remove([]);
      expect(host.devices.list()).toEqual([]);
      expect(host.guest("i-one", 0)).toBeUndefined();
    });

    it("removes many at once, and no other", () => {
      const specs = [0, 1, 2].map((deviceIndex) =>
        deviceExample({
          ...{ wireId: 0xa1 + deviceIndex, deviceIndex, guestMac: `02:00:00:00:00:a${deviceIndex + 1}` },
          ...{ addresses: [`10.0.${deviceIndex}.5/24`], gateways: [`10.0.${deviceIndex}.1`] },
        }),
      );
      const other = host.devices.ensure(deviceExample({ wireId: 0xb1, instanceId: "i-two", guestMac: "02:00:00:00:00:b1" }), noGuard);
      for (let round = 0; round < 2; round += 1) {
        for (const spec of specs) host.devices.ensure(spec, noGuard);
        host.devices.remove([0xa1, 0xdead, 0xa3, 0xa2]);
        expect(host.devices.list()).toEqual([found(other)]);
        for (const { deviceIndex } of specs) expect(host.guest("i-one", deviceIndex)).toBeUndefined();
      }
      expect(host.guest("i-two", 0)?.up).toBe(true);
    });

    it("leaves a device down that could not be guarded, and completes it later", () => {
      const refuse = (): void => {
        throw new Error("no program");
      };
      expect(() => host.devices.ensure(deviceExample(), refuse)).toThrow("no program");
      for (const { ifindex } of host.devices.list()) expect(host.hostEndUp(ifindex)).toBe(false);
      expect(host.guest("i-one", 0)?.up ?? false).toBe(false);
      const device = host.devices.ensure(deviceExample(), noGuard);
      expect(host.hostEndUp(device.ifindex)).toBe(true);
    });

    it("refuses an instance that does not exist, and a device that another attachment holds", () => {
      expect(() => host.devices.ensure(deviceExample({ instanceId: "i-absent" }), noGuard)).toThrow(/ENOENT/);
      const holder = host.devices.ensure(deviceExample(), noGuard);
      expect(() => host.devices.ensure(deviceExample({ wireId: 0xa9, guestMac: "02:00:00:00:00:a9" }), noGuard)).toThrow(/belongs to/);
      expect(host.devices.list()).toEqual([found(holder)]);
      expect(host.guest("i-one", 0)?.mac).toBe("02:00:00:00:00:a1");
    });
  });
}
