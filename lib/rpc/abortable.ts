/** As the platform's own: what a handler awaited was called off. */
export function abortError(): DOMException {
  return new DOMException("the call was called off", "AbortError");
}

/**
 * The items of `source` until `signal` aborts; then an AbortError, even while `source` is stuck. `source` is told to return, and
 * whatever it still does comes to nothing. One listener per stream: racing each item against a long-lived promise would leak one
 * reaction per item.
 */
export async function* abortable<Item>(
  source: AsyncIterator<Item, unknown, undefined>,
  signal: AbortSignal,
): AsyncGenerator<Item, void, undefined> {
  let refuse: ((error: unknown) => void) | undefined;
  const onAbort = (): void => refuse?.(abortError());
  signal.addEventListener("abort", onAbort, { once: true });
  const next = (): Promise<IteratorResult<Item, unknown>> =>
    new Promise((resolve, reject) => {
      refuse = reject;
      if (signal.aborted) reject(abortError());
      else source.next().then(resolve, reject);
    });
  try {
    for (let result = await next(); result.done !== true; result = await next()) yield result.value;
  } finally {
    signal.removeEventListener("abort", onAbort);
    const returned = source.return?.();
    // A stuck source never returns: then nobody waits. Its late failure is of no interest to a call that is over.
    if (signal.aborted) returned?.catch(() => undefined);
    else await returned;
  }
}
