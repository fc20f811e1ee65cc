import type { Underlay } from "../core/ports.ts";

/** A host whose substrate device is a number. */
export class FakeUnderlay implements Underlay {
  /** Undefined: no device holds the host's substrate address. */
  mtu: number | undefined;
  #tunnel: number | undefined;

  constructor(mtu: number | undefined = 1500) {
    this.mtu = mtu;
  }

  ensureTunnel(): number {
    this.substrateMtu();
    return (this.#tunnel ??= 5);
  }

  substrateMtu(): number {
    if (this.mtu === undefined) throw new Error("no device of this host holds its substrate address");
    return this.mtu;
  }
}
