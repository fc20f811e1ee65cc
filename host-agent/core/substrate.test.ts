import { expect, it } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";

const READY = { deviceReady: true, tunnelReady: true, message: "" };

it("is ready at first, and keeps its word while nothing changes", () => {
  const { reconciler, lost } = new FakeHost();
  const { standing } = reconciler.substrate;
  expect(standing).toEqual(READY);
  expect(reconciler.observeDevices()).toBe(false);
  expect(reconciler.substrate.standing).toBe(standing);
  expect(lost).toEqual([]);
});

it("sets a tunnel up again, also before any feed was in sync", () => {
  const host = new FakeHost();
  host.underlay.tunnel!.up = false;
  expect(host.reconciler.observeDevices()).toBe(true);
  expect(host.reconciler.substrate.standing).toMatchObject({ deviceReady: true, tunnelReady: false });
  host.pass();
  expect(host.takeCalls()).toEqual(["underlay.ensureTunnel", "datapath.guardTunnel"]);
  expect(host.reconciler.substrate.standing).toEqual(READY);
  expect(host.lost).toEqual(["tunnel 1"]);
  host.pass();
  expect(host.takeCalls()).toEqual([]);
});

it("makes a tunnel that is gone, and guards the new one", () => {
  const host = new FakeHost();
  const before = host.pins.tunnel;
  host.underlay.tunnel = undefined;
  expect(host.reconciler.checkGuards(new Set())).toBe(true);
  host.pass();
  expect(host.pins.tunnel).toBe(host.underlay.tunnel!.ifindex);
  expect(host.pins.tunnel).not.toBe(before);
});

it("tells why the tunnel cannot be made, and goes on trying", () => {
  let refused = false;
  const host = new FakeHost({
    fault: (call) => {
      if (refused && call === "underlay.ensureTunnel") throw new Error("EEXIST");
    },
  });
  refused = true;
  host.underlay.tunnel = undefined;
  host.reconciler.observeDevices();
  const { wakeAt } = host.reconciler.pass();
  expect(wakeAt).toBe(100);
  expect(host.reconciler.substrate.standing.message).toMatch(/tunnel.*: EEXIST/);
  expect(host.lost).toEqual(["tunnel 1"]);
  refused = false;
  host.now = 100;
  host.pass();
  expect(host.reconciler.substrate.standing).toEqual(READY);
});

it("tells of a substrate device that carries nothing, and changes nothing there", () => {
  const host = new FakeHost();
  host.takeCalls();
  host.underlay.carrier = false;
  expect(host.reconciler.observeDevices()).toBe(true);
  expect(host.reconciler.substrate.standing).toEqual({ deviceReady: false, tunnelReady: true, message: "device sub0 has no carrier" });
  host.pass();
  expect(host.takeCalls()).toEqual([]);
  expect(host.reconciler.observeDevices()).toBe(false);
  host.underlay.carrier = true;
  expect(host.reconciler.observeDevices()).toBe(true);
  expect(host.reconciler.substrate.standing).toEqual(READY);
});

it("tells of an MTU below what guests were told, not of one above", () => {
  const host = new FakeHost();
  host.underlay.mtu = 9000;
  expect(host.reconciler.observeDevices()).toBe(false);
  host.underlay.mtu = 1400;
  host.reconciler.observeDevices();
  expect(host.reconciler.substrate.standing).toMatchObject({ deviceReady: false, message: expect.stringContaining("100 less") });
});

it("ends no pass where the kernel cannot be asked how the tunnel is, and asks again", () => {
  let broken = false;
  const host = new FakeHost({
    fault: (call) => {
      if (broken && call === "datapath.isTunnelGuarded") throw new Error("EMFILE");
    },
  });
  host.underlay.tunnel = undefined;
  host.reconciler.observeDevices();
  broken = true;
  expect(host.reconciler.pass().wakeAt).toBe(100);
  expect(host.failures).toEqual(["a look at the tunnel device: EMFILE"]);
  broken = false;
  host.now = 100;
  host.pass();
  expect(host.reconciler.substrate.standing).toEqual(READY);
});
