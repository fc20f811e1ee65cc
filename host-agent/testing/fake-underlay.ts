import type { Underlay, UnderlayState } from "../core/ports.ts";

/** A host whose substrate device is a number. */
export class FakeUnderlay implements Underlay {
  /** Undefined: no device holds the host's substrate address. */
  mtu: number | undefined;
  carrier = true;
  /** Undefined: somebody removed the tunnel device. */
  tunnel: { ifindex: number; up: boolean } | undefined;
  #nextIfindex = 5;
  readonly #fault: (call: "ensureTunnel") => void;

  /** `fault`: called first thing in a call that changes something; a test throws from it. */
  constructor(mtu: number | undefined = 1500, fault: (call: "ensureTunnel") => void = () => {}) {
    this.mtu = mtu;
    this.#fault = fault;
  }

  look(): UnderlayState {
    const noCarrier = this.carrier ? undefined : "device sub0 has no carrier";
    return {
      deviceTrouble: this.mtu === undefined ? "no device of this host holds its substrate address" : noCarrier,
      guestMtu: this.mtu === undefined ? undefined : this.mtu - 50,
      tunnelIfindex: this.tunnel?.up === true ? this.tunnel.ifindex : undefined,
    };
  }

  ensureTunnel(): number {
    this.#fault("ensureTunnel");
    this.substrateMtu();
    this.tunnel ??= { ifindex: this.#nextIfindex++, up: true };
    this.tunnel.up = true;
    return this.tunnel.ifindex;
  }

  substrateMtu(): number {
    if (this.mtu === undefined) throw new Error("no device of this host holds its substrate address");
    return this.mtu;
  }
}
