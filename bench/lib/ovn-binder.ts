import * as linux from "#lib/linux/index.ts";
import { ipIn } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";
import { Ovn } from "./ovn.ts";
import type { LogicalPort } from "./ovn.ts";
import { startProbe } from "./probe.ts";
import type { Cleanup } from "./run.ts";
import { closeSync, openSync } from "node:fs";

const PROBER: LogicalPort = { name: "prober", mac: "06:00:00:00:01:01", address: "10.0.1.1" };
const GUEST: LogicalPort = { name: "guest", mac: "06:00:00:00:01:02", address: "10.0.1.2" };

/** What attaching is with OVN: a guest's device, and the port bound to it. A second port on the chassis asks for answers. */
export class OvnBinder {
  readonly #ovn: Ovn;
  readonly #host: string;
  readonly #guest: string;
  readonly #prober: string;

  private constructor(ovn: Ovn, host: string, guest: string, prober: string) {
    this.#ovn = ovn;
    this.#host = host;
    this.#guest = guest;
    this.#prober = prober;
  }

  static async start(namespaces: Namespaces, cleanup: Cleanup): Promise<OvnBinder> {
    const [host, guest, prober] = [namespaces.make("ovn"), namespaces.make("og"), namespaces.make("op")];
    const ovn = await Ovn.start(host, [PROBER, GUEST], cleanup);
    const binder = new OvnBinder(ovn, host, guest, prober);
    binder.#makeDevice("p0", prober, PROBER);
    await ovn.bind(PROBER, "p0");
    // Its address is known beforehand, so that no second of waiting for ARP is measured.
    ipIn(prober, `neigh add ${GUEST.address} lladdr ${GUEST.mac} dev eth0`);
    return binder;
  }

  /** One binding of each kind, milliseconds. */
  async once(): Promise<{ bind: number; makeAndBind: number; ovnFirstPacket: number }> {
    this.#makeDevice("g0", this.#guest, GUEST);
    const before = performance.now();
    await this.#ovn.bind(GUEST, "g0");
    const bind = performance.now() - before;
    await this.#end();
    const probe = await startProbe(this.#prober, GUEST.address);
    try {
      const start = performance.now();
      this.#makeDevice("g0", this.#guest, GUEST);
      await this.#ovn.bind(GUEST, "g0");
      const makeAndBind = performance.now() - start;
      return { bind, makeAndBind, ovnFirstPacket: (await probe.answered) - start };
    } finally {
      await probe.end();
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    await this.#ovn.unbind(GUEST, "g0");
    linux.withNetlink(this.#host, (nl) => linux.deleteLink(nl, "g0"));
  }

  /** As ours: netlink, nothing forked. */
  #makeDevice(name: string, guest: string, { mac, address }: LogicalPort): void {
    const namespaceFd = openSync(guest, "r");
    try {
      linux.withNetlink(this.#host, (nl) => {
        linux.createVeth(nl, { name, mac: "06:00:00:00:02:01", mtu: 1450, peer: { name: "eth0", mac, namespaceFd } });
        linux.setLink(nl, linux.getLink(nl, name)!.ifindex, { up: true });
      });
    } finally {
      closeSync(namespaceFd);
    }
    linux.withNetlink(guest, (nl) => {
      const { ifindex } = linux.getLink(nl, "eth0")!;
      linux.setLink(nl, ifindex, { up: true });
      linux.addAddress(nl, ifindex, `${address}/24`);
    });
  }
}
