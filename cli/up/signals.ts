/** The wish of whoever is at the terminal, or of the system, that we end. */
export interface Stop {
  /** Aborted with the first one. */
  signal: AbortSignal;
  /** Resolves with the first one. */
  received: Promise<void>;
}

/**
 * From now on INT, TERM and HUP do not end this process but resolve here. Later ones are ignored: an npm in between passes on the
 * Ctrl-C that the terminal has sent us already, and taking down must not be interrupted half-way.
 */
export function untilSignal(): Stop {
  const controller = new AbortController();
  const received = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) return;
      controller.abort(new Error(`interrupted by ${name}`));
      received.resolve();
    });
  }
  return { signal: controller.signal, received: received.promise };
}
