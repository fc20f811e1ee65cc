import { endProcess, startProcess } from "./process.ts";

/** Between two echo requests; while none is answered, ping itself keeps some ten milliseconds: what is measured comes in such steps. */
const EVERY_S = 0.002;
const LIMIT_MS = 5_000;

/** Echo requests that are under way. */
export interface Probe {
  /** Milliseconds by performance.now() at which the first answer arrived. @throws Error if none came */
  answered: Promise<number>;
  end(): Promise<void>;
}

/** Sends echo requests, one after the other, from a namespace until told to end; resolves when they are being sent. */
export async function startProbe(netns: string, address: string): Promise<Probe> {
  const started = Promise.withResolvers<void>();
  const first = Promise.withResolvers<number>();
  const timer = setTimeout(() => first.reject(new Error(`${address} answers nothing in ${LIMIT_MS} ms`)), LIMIT_MS);
  first.promise.catch(() => {}); // who waits for it hears of it
  // By lines: else it would keep its first one until the first answer.
  const argv = ["nsenter", `--net=${netns}`, "--", "stdbuf", "-oL", "ping", "-n", "-D", "-i", String(EVERY_S), address];
  const child = startProcess(argv, (line) => {
    if (line.startsWith("PING")) started.resolve();
    const match = /^\[(\d+\.\d+)\] \d+ bytes from/.exec(line);
    if (match === null) return;
    clearTimeout(timer);
    // ping's clock is the machine's; ours began at timeOrigin.
    first.resolve(Number(match[1]) * 1e3 - performance.timeOrigin);
  });
  child.once("error", started.reject);
  await started.promise;
  return {
    answered: first.promise,
    async end() {
      clearTimeout(timer);
      await endProcess(child, "SIGINT");
    },
  };
}
