import { expect, it } from "vitest";
import { devicesContract } from "./devices.contract.ts";
import { FakeDevices } from "./fake-devices.ts";
import { FakeInstanceDriver } from "./fake-instance-driver.ts";
import { FakeUnderlay } from "./fake-underlay.ts";
import { instanceDriverContract, instanceExample } from "./instance-driver.contract.ts";
import { underlayContract } from "./underlay.contract.ts";

devicesContract("FakeDevices", () => {
  const instanceExists = (id: string): boolean => id !== "i-absent";
  const devices = new FakeDevices({ instanceExists });
  const pairs = (): { spec: Parameters<FakeDevices["ensure"]>[0]; ifindex: number; up: boolean }[] => [...devices.kernel.pairs.values()];
  return {
    devices,
    reopen: () => new FakeDevices({ kernel: devices.kernel, instanceExists }),
    guest: (instanceId, deviceIndex) => {
      const pair = pairs().find(({ spec }) => spec.instanceId === instanceId && spec.deviceIndex === deviceIndex);
      return pair && { mac: pair.spec.guestMac, mtu: pair.spec.guestMtu, up: pair.up, addresses: [...pair.spec.addresses] };
    },
    hostEndUp: (ifindex) => pairs().some((pair) => pair.ifindex === ifindex && pair.up),
    setDown: ({ wireId }) => {
      devices.kernel.pairs.get(wireId)!.up = false;
    },
    deleteInGuest: (instanceId, deviceIndex) => devices.deletedByGuest(instanceId, deviceIndex),
    dispose: () => {},
  };
});

instanceDriverContract("FakeInstanceDriver", () => {
  const driver = new FakeInstanceDriver();
  return {
    driver,
    reopen: () => new FakeInstanceDriver({ kernel: driver.kernel }),
    namespaceExists: (path) => driver.list().some((status) => status.netnsPath === path),
    processAlive: (pid) => driver.list().some((status) => status.process.state === "running" && status.process.pid === pid),
    end: async (instanceId) => driver.exitProcess(instanceId, "exit code 3"),
    deleteNamespace: (instanceId) => {
      driver.kernel.instances.get(instanceId)!.deleted = true;
    },
    dispose: async () => {},
  };
});

underlayContract("FakeUnderlay", () => {
  const underlay = new FakeUnderlay(1400);
  return {
    underlay,
    loseAddress: () => {
      underlay.mtu = undefined;
    },
    setCarrier: (on) => {
      underlay.carrier = on;
    },
    setTunnel: (what) => {
      underlay.tunnel = what === "gone" ? undefined : { ifindex: underlay.tunnel!.ifindex, up: false };
    },
    dispose: () => {},
  };
});

it("a fault thrown from a fake reaches the caller, also as a rejection", async () => {
  const fault = (): never => {
    throw new Error("EIO");
  };
  expect(() => new FakeDevices({ fault }).list()).toThrow("EIO");
  const driver = new FakeInstanceDriver({ fault });
  expect(() => driver.create(instanceExample())).toThrow("EIO");
  await expect(driver.remove("i-one")).rejects.toThrow("EIO");
});
