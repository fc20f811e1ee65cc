/** Runs bodies, at most so many at a time, in order of arrival. */
export type Limiter = <Result>(body: () => Promise<Result>) => Promise<Result>;

/** At most `size` at a time. */
export function limiter(size: number): Limiter {
  const waiting: (() => void)[] = [];
  let free = size;
  return async (body) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await body();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
