/** Text headers of a message. Names are lower case by convention. */
export type BusHeaders = Readonly<Record<string, string>>;

export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: BusHeaders;
}

export interface BusSubscription {
  /** After this returns the handler is not called again. */
  unsubscribe(): void;
}

export interface BusStats {
  readonly connected: boolean;
  /** Messages that were handed over to the server's connection. */
  readonly published: number;
  /** Messages that were thrown away because there was no connection. */
  readonly dropped: number;
}

/**
 * Fire-and-forget messages between processes: hints (C2). At most once; a message may be lost, and comes in order per publisher.
 * Nothing here is the truth of anything, so nothing here fails: without a connection messages are dropped and counted.
 */
export interface Bus {
  /** Never throws: without a connection, after `close` and above 1 MB of `data` the message is dropped and counted. */
  publish(subject: string, data: Uint8Array, headers?: BusHeaders): void;
  /** `subject` may hold `*` (one token) and end in `>` (the rest). Survives reconnects. A handler that throws is logged and goes on. */
  subscribe(subject: string, handler: (message: BusMessage) => void): BusSubscription;
  /** Resolves when everything published before was taken by the server and subscriptions made before are in force; rejects when not connected. */
  flush(): Promise<void>;
  stats(): BusStats;
  close(): Promise<void>;
}

/** Whether a subject fits a subscription's pattern, as NATS has it. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const given = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return given.length > index;
    if (index >= given.length || (token !== "*" && token !== given[index])) return false;
  }
  return wanted.length === given.length;
}
