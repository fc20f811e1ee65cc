import { setTimeout as delay } from "node:timers/promises";
import { connect, headers as newHeaders } from "@nats-io/transport-node";
import type { Msg, NatsConnection, NodeConnectionOptions, Subscription } from "@nats-io/transport-node";
import type { Logger } from "../log/log.ts";
import { subjectMatches } from "./bus.ts";
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

/** Between attempts to connect. */
const RETRY_MS = 250;

function readHeaders(message: Msg): BusHeaders {
  const headers: Record<string, string> = {};
  for (const [key, values] of message.headers ?? []) headers[key] = values.join(",");
  return headers;
}

interface Wanted {
  readonly subject: string;
  readonly deliver: (message: BusMessage) => void;
  live: Subscription | undefined;
}

/**
 * A bus over core NATS. Returns at once and connects in the background, for ever: a server that is away is no error. Subscribers of this
 * process hear what it publishes without the way over the server, which an attach would wait for.
 */
export function openNatsBus(options: NatsOptions): Bus {
  const { log } = options;
  const wanted = new Set<Wanted>();
  const closing = new AbortController();
  const settings: NodeConnectionOptions = {
    ...connectionOptions(options.url),
    name: options.name,
    timeout: 5_000,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RETRY_MS,
    reconnectJitter: RETRY_MS,
    pingInterval: 5_000,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
    noEcho: true,
  };
  let connection: NatsConnection | undefined;
  let connected = false;
  let closed = false;
  let published = 0;
  let dropped = 0;

  const attach = (nc: NatsConnection, one: Wanted): void => {
    const callback = (error: Error | null, message: Msg): void => {
      if (error !== null) log.warn({ err: error }, "a subscription was refused");
      else one.deliver({ subject: message.subject, data: message.data, headers: readHeaders(message) });
    };
    one.live = nc.subscribe(one.subject, { callback });
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

  /** In a loop of our own: the client's would go on after `close`, and keep the process alive. */
  const find = async (): Promise<NatsConnection | undefined> => {
    for (let attempt = 1; !closed; attempt += 1) {
      try {
        return await connect(settings);
      } catch (error) {
        if (attempt === 1) log.warn({ err: error }, "the bus is not there yet; looking for it");
        await delay(RETRY_MS, undefined, { signal: closing.signal }).catch(() => undefined); // ends early at close
      }
    }
    return undefined;
  };

  const run = async (): Promise<void> => {
    const nc = await find();
    if (nc === undefined) return;
    if (closed) return nc.close();
    connection = nc;
    connected = true;
    for (const one of wanted) attach(nc, one);
    await watch(nc);
  };
  const running = run().catch((error: unknown) => log.error({ err: error }, "the bus failed"));

  const delivery = (handler: (message: BusMessage) => void) => (message: BusMessage) => {
    try {
      inTraceOf(message.headers, () => handler(message));
    } catch (failure) {
      log.error({ err: failure, subject: message.subject }, "a subscriber failed");
    }
  };

  /** After the publisher's own statements, as if it came from outside. */
  const deliverHere = (message: BusMessage): void => {
    for (const one of wanted) {
      if (!subjectMatches(one.subject, message.subject)) continue;
      queueMicrotask(() => {
        if (wanted.has(one)) one.deliver(message);
      });
    }
  };

  return {
    publish(subject, data, headers = {}) {
      // The client would keep what it cannot send, without bound, and send it late: a hint is worth nothing then.
      if (connection === undefined || !connected) {
        dropped += 1;
        return;
      }
      const traced = withTrace(headers);
      const carried = newHeaders();
      for (const [key, value] of Object.entries(traced)) carried.set(key, value);
      try {
        connection.publish(subject, data, Object.keys(traced).length === 0 ? {} : { headers: carried });
      } catch (error) {
        // Too large, or the connection closed a moment ago: what it was about is committed, and the caller's call must not fail.
        dropped += 1;
        log.error({ err: error, subject, bytes: data.length }, "cannot publish");
        return;
      }
      published += 1;
      deliverHere({ subject, data, headers: traced });
    },
    subscribe(subject, handler) {
      const one: Wanted = { subject, deliver: delivery(handler), live: undefined };
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
      wanted.clear();
      closing.abort();
      await connection?.close();
      await running;
    },
  };
}
