import type { Attempts } from "./attempts.ts";
import type { Datapath, Underlay, UnderlayState } from "./ports.ts";

/** Whether the host can carry packets to others and from them, as far as it sees itself. Another object whenever it changes. */
export interface SubstrateStanding {
  /** The device with the substrate address is there and up and has a carrier, and what guests may send fits through it. */
  readonly deviceReady: boolean;
  /** The tunnel device is there and up and runs our program. */
  readonly tunnelReady: boolean;
  /** Why not, in words; empty where all is ready. */
  readonly message: string;
}

/**
 * The substrate device, which is the operator's and only looked at, and the tunnel, which is ours: made again, set up again, guarded
 * again. A redirect into a device that is down is lost and counted nowhere (D19), so the host has to say it.
 */
export class Substrate {
  readonly #underlay: Underlay;
  readonly #datapath: Pick<Datapath, "guardTunnel" | "isTunnelGuarded">;
  readonly #attempts: Attempts;
  readonly #guestMtu: number;
  readonly #lost: () => void;
  #standing: SubstrateStanding = { deviceReady: true, tunnelReady: true, message: "" };

  /** `guestMtu`: what guests were told; `lost`: the tunnel is not as it was. */
  constructor(ports: { underlay: Underlay; datapath: Datapath }, attempts: Attempts, guestMtu: number, lost: () => void) {
    this.#underlay = ports.underlay;
    this.#datapath = ports.datapath;
    this.#attempts = attempts;
    this.#guestMtu = guestMtu;
    this.#lost = lost;
  }

  get standing(): SubstrateStanding {
    return this.#standing;
  }

  /** Looks. Returns whether it found another standing, or something to repair. */
  observe(): boolean {
    const before = this.#standing;
    const state = this.#underlay.look();
    const trouble = state.deviceTrouble ?? this.#tooShort(state);
    const tunnelReady = state.tunnelIfindex !== undefined && this.#datapath.isTunnelGuarded(state.tunnelIfindex);
    const why = this.#attempts.message(TUNNEL);
    const tunnel = tunnelReady ? undefined : `the tunnel device is not there, not up or not guarded${why === undefined ? "" : `: ${why}`}`;
    const message = [trouble, tunnel].filter((one) => one !== undefined).join("; ");
    const deviceReady = trouble === undefined;
    if (before.deviceReady !== deviceReady || before.tunnelReady !== tunnelReady || before.message !== message)
      this.#standing = { deviceReady, tunnelReady, message };
    if (before.tunnelReady && !tunnelReady) this.#lost();
    return this.#standing !== before || !tunnelReady;
  }

  /** A stage of a pass: the tunnel as it is to be, if the last look found it otherwise. */
  repair(): void {
    if (this.#standing.tunnelReady) return;
    this.#attempts.run(TUNNEL, () => this.#datapath.guardTunnel(this.#underlay.ensureTunnel()), true);
    this.#attempts.run(`a look at ${TUNNEL}`, () => void this.observe(), true);
  }

  #tooShort({ guestMtu }: UnderlayState): string | undefined {
    if (guestMtu === undefined || guestMtu >= this.#guestMtu) return undefined;
    const less = this.#guestMtu - guestMtu;
    return `the substrate device's MTU is ${less} less than when the agent started, and guests send longer packets: set it back, or start the agent again`;
  }
}

const TUNNEL = "the tunnel device";
