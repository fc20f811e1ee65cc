import { decide, NOTHING, type Configuration, type Decision, type Packet, type State } from "#lib/model/index.ts";
import type { Step } from "./scenario.ts";

const DENIED: ReadonlySet<string> = new Set(["RULE_EGRESS", "RULE_INGRESS", "CONNECTION_BUDGET", "CONNECTION_SHARE"]);

/** How far a story has come, by the model: what holds, what is remembered, what time it is. */
export class Course {
  #configuration: Configuration;
  #state: State = NOTHING;
  #now = 0;

  constructor(start: Configuration) {
    this.#configuration = start;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  get state(): State {
    return this.#state;
  }

  /** Milliseconds since the story began. */
  get now(): number {
    return this.#now;
  }

  /** Takes a step; what is decided of its packet, if it has one. */
  take(step: Step): Decision | undefined {
    switch (step.what) {
      case "time":
        this.#now += step.milliseconds;
        return undefined;
      case "configuration":
        this.#configuration = step.configuration;
        this.#state = withoutClosed(this.#state, step.configuration);
        return undefined;
      case "packet": {
        const { decision, state } = decide(this.#configuration, this.#state, this.#now, step.packet);
        this.#state = state;
        return decision;
      }
    }
  }

  /** Whether rules and budgets would let it through if it came now, whatever else it meets. */
  allows(packet: Packet): boolean {
    const { decision } = decide(this.#configuration, this.#state, this.#now, packet);
    return decision.verdict !== "drop" || !DENIED.has(decision.reason);
  }
}

/** A closed interface's connections are nobody's; when they are freed is the kernel's affair. */
function withoutClosed(state: State, { endpoints }: Configuration): State {
  const open = [...state.connections].filter(([, { key }]) => endpoints.some((e) => e.wireId === key.wireId));
  return { ...state, connections: new Map(open) };
}
