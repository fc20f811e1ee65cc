import { connect, headers as newHeaders } from "@nats-io/transport-node";
import type { Msg, NatsConnection, NodeConnectionOptions, Subscription } from "@nats-io/transport-node";
import type { Logger } from "../log/log.ts";
import type { Bus, BusHeaders, BusMessage } from "./bus.ts";
import { inTraceOf, withTrace } from "./trace.ts";

export interface NatsOptions {
  /** nats://[user:password@|token@]host:port */
  readonly url: string;
  /** Shown by the server among its connections. */
  readonly name: string;
  readonly log: Logger;
}

/** The client does not read credentials out of a URL. */
export function connectionOptions(url: string): NodeConnectionOptions {
  const { protocol, hostname, port, username, password } = new URL(url);
  if (protocol !== "nats:") throw new Error("a NATS URL starts with nats://");
  const user = decodeURIComponent(username);
  const credentials = password !== "" ? { user, pass: decodeURIComponent(password) } : user === "" ? {} : { token: user };
  return { servers: `${hostname}:${port === "" ? "4222" : port}`, ...credentials };
}

function readHeaders(message: Msg): BusHeaders {
  const headers: Record<string, string> = {};
  for (const [key, values] of message.headers ?? []) headers[key] = values.join(",");
  return headers;
}

interface Wanted {
  readonly subject: string;
  readonly callback: (error: Error | null, message: Msg) => void;
  live: Subscription | undefined;
}

/** A bus over core NATS. Returns at once and connects in the background, for ever: a server that is away is no error. */
export function openNatsBus(options: NatsOptions): Bus {
  const { log } = options;
  const wanted = new Set<Wanted>();
  let connection: NatsConnection | undefined;
  let connected = false;
  let closed = false;
  let published = 0;
  let dropped = 0;

  const attach = (nc: NatsConnection, one: Wanted): void => {
    one.live = nc.subscribe(one.subject, { callback: one.callback });
  };

  const watch = async (nc: NatsConnection): Promise<void> => {
    for await (const status of nc.status()) {
      if (status.type === "disconnect") {
        connected = false;
        if (!closed) log.warn("the bus is away: feeds are slower until it is back");
      } else if (status.type === "reconnect") {
        connected = true;
        log.info("the bus is back");
      } else if (status.type === "error") {
        log.warn({ err: status.error }, "the bus reports an error");
      }
    }
  };

  const first = connect({
    ...connectionOptions(options.url),
    name: options.name,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
  }).then(
    async (nc) => {
      connection = nc;
      if (closed) return nc.close();
      connected = true;
      for (const one of wanted) attach(nc, one);
      await watch(nc);
    },
    (error: unknown) => log.error({ err: error }, "the bus cannot be used"),
  );

  const handle = (handler: (message: BusMessage) => void) => (error: Error | null, message: Msg) => {
    if (error !== null) {
      log.warn({ err: error }, "a subscription was refused");
      return;
    }
    const headers = readHeaders(message);
    try {
      inTraceOf(headers, () => handler({ subject: message.subject, data: message.data, headers }));
    } catch (failure) {
      log.error({ err: failure, subject: message.subject }, "a subscriber failed");
    }
  };

  return {
    publish(subject, data, headers = {}) {
      if (closed) throw new Error("the bus is closed");
      // The client would keep what it cannot send, without bound, and send it late: a hint is worth nothing then.
      if (connection === undefined || !connected) {
        dropped += 1;
        return;
      }
      const traced = Object.entries(withTrace(headers));
      const carried = newHeaders();
      for (const [key, value] of traced) carried.set(key, value);
      connection.publish(subject, data, traced.length === 0 ? {} : { headers: carried });
      published += 1;
    },
    subscribe(subject, handler) {
      const one: Wanted = { subject, callback: handle(handler), live: undefined };
      wanted.add(one);
      if (connection !== undefined) attach(connection, one);
      return {
        unsubscribe() {
          wanted.delete(one);
          one.live?.unsubscribe();
        },
      };
    },
    async flush() {
      if (connection === undefined || !connected) throw new Error("the bus is not connected");
      await connection.flush();
    },
    stats: () => ({ connected, published, dropped }),
    async close() {
      if (closed) return;
      closed = true;
      connected = false;
      if (connection === undefined) return; // still looking for a server: closed as soon as it has one
      await connection.close();
      await first;
    },
  };
}
