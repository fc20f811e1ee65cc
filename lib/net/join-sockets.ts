import type { Socket } from "node:net";
import { Transform } from "node:stream";

/** Whether so many bytes may go on now (0), or after how many milliseconds to ask again. */
export type Pace = (bytes: number) => number;

function paced(pace: Pace): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const ask = (): void => {
        const wait = pace(chunk.length);
        if (wait === 0) done(null, chunk);
        else setTimeout(ask, wait);
      };
      ask();
    },
  });
}

/** Whether all was carried that this socket had to say, and to be told: whatever is still on its way to the other may arrive. */
const isDone = (socket: Socket): boolean => socket.readableEnded && socket.writableFinished;

/**
 * Carries bytes both ways between two sockets, which were opened with `allowHalfOpen`; what one side does not read waits in a few buffers of a
 * stream, and then is not read from the other. A side's end is told to the other, after all it said; a side that breaks off ends both.
 */
export function joinSockets(near: Socket, far: Socket, pace?: Pace): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.setNoDelay(true);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      if (!isDone(from)) to.destroy();
    });
    if (pace === undefined) from.pipe(to);
    else from.pipe(paced(pace)).pipe(to);
  }
}
