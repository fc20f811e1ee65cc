import type { Logger } from "../log/log.ts";
import { takeHooks } from "./hooks.ts";

/** What a process stops, in the reverse of the order in which it was started. */
export interface Shutdown {
  /** Stop this when the process ends, before everything that was added earlier. `limitMs` (default 10,000) bounds the wait. */
  add(name: string, stop: () => Promise<void>, limitMs?: number): void;
  /** Aborted when the end begins. */
  readonly signal: AbortSignal;
  /** Begin the end, or join it. True when everything stopped in time and without a failure. */
  run(why: string): Promise<boolean>;
  /** Resolves like `run` once somebody began it. */
  readonly finished: Promise<boolean>;
}

interface Step {
  readonly name: string;
  readonly stop: () => Promise<void>;
  readonly limitMs: number;
}

const DEFAULT_LIMIT_MS = 10_000;

/** One step that hangs or fails must not keep the others from stopping. */
async function runStep(step: Step, log: Logger): Promise<boolean> {
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), step.limitMs);
  try {
    const outcome = await Promise.race([step.stop(), late.promise]);
    if (outcome !== "late") return true;
    log.error({ step: step.name, limitMs: step.limitMs }, "did not stop in time");
  } catch (error) {
    log.error({ err: error, step: step.name }, "failed to stop");
  } finally {
    clearTimeout(timer);
  }
  return false;
}

export function createShutdown(log: Logger): Shutdown {
  const steps: Step[] = [];
  const aborter = new AbortController();
  const finished = Promise.withResolvers<boolean>();
  let running: Promise<boolean> | undefined;

  const stopAll = async (why: string): Promise<boolean> => {
    log.info({ why }, "stopping");
    aborter.abort();
    let clean = true;
    // Taken one by one: a step added while we stop is stopped too.
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) clean = (await runStep(step, log)) && clean;
    for (const { name, run } of takeHooks()) clean = (await runStep({ name, stop: run, limitMs: DEFAULT_LIMIT_MS }, log)) && clean;
    log.info({ clean }, "stopped");
    return clean;
  };

  return {
    add: (name, stop, limitMs = DEFAULT_LIMIT_MS) => void steps.push({ name, stop, limitMs }),
    signal: aborter.signal,
    finished: finished.promise,
    run(why) {
      running ??= stopAll(why);
      void running.then(finished.resolve, finished.reject);
      return running;
    },
  };
}

/**
 * Run the shutdown at SIGTERM and SIGINT, and leave with 0 (clean) or 1. A second SIGINT leaves at once (130): somebody at a
 * terminal has waited long enough. Returns how to take the handlers away again.
 */
export function stopOnSignals(shutdown: Shutdown, exit: (code: number) => void = (code) => process.exit(code)): () => void {
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (asked) {
      if (signal === "SIGINT") exit(130);
      return;
    }
    asked = true;
    void shutdown.run(signal).then((clean) => exit(clean ? 0 : 1));
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return () => {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  };
}
