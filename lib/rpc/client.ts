import { isIP } from "node:net";
import { ChannelCredentials, createChannel, createClientFactory, waitForChannelReady } from "nice-grpc";
import type { Channel, Client, ClientMiddleware, CompatServiceDefinition } from "nice-grpc";
import { deadlineMiddleware } from "nice-grpc-client-middleware-deadline";
import type { DeadlineOptions } from "nice-grpc-client-middleware-deadline";
import { errorDetailsClientMiddleware } from "nice-grpc-error-details";
import { ClientError, Metadata, Status } from "nice-grpc-common";
import { abortable } from "./abortable.ts";
import { SERVER_NAME } from "../auth/ca.ts";
import { socketPlace } from "../net/socket-place.ts";
import { MAX_MESSAGE_BYTES } from "./server.ts";

export interface ChannelSettings {
  /** "unix:/absolute/path" or "host:port". */
  readonly address: string;
  /** PEM roots that the server's certificate must chain to. Without it: plain text. */
  readonly ca?: string | undefined;
  /** Our own certificate and key (PEM), for mTLS. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name that the server's certificate must carry. Default: the address's host; for an IP address or a socket {@link SERVER_NAME}. */
  readonly serverName?: string | undefined;
  /** Bearer token, or where to get a fresh one before each call. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** Deadline of unary calls that set none, milliseconds. Default 15,000. Streams have none. */
  readonly deadlineMs?: number | undefined;
  /** Make a unary call that found nobody (UNAVAILABLE) once more, if its request has a request_id: whatever came of the first, it is made once. */
  readonly repeatUnavailable?: boolean | undefined;
}

/** Options of every call: `deadline` (a Date or milliseconds from now), `signal`, `metadata`. */
export type PlenumClient<Definition extends CompatServiceDefinition> = Client<Definition, DeadlineOptions>;

export interface RpcChannel {
  readonly channel: Channel;
  client<Definition extends CompatServiceDefinition>(definition: Definition): PlenumClient<Definition>;
  close(): void;
}

const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  // A server that died without a word is noticed in 15 s, on an idle stream too.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  // A server that restarts is found again soon: agents and services hold streams all day.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // Channels with different credentials to one address must not share a connection.
  "grpc.use_local_subchannel_pool": 1,
};

function credentialsOf(settings: ChannelSettings): ChannelCredentials {
  if (settings.ca === undefined) return ChannelCredentials.createInsecure();
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  return ChannelCredentials.createSsl(pem(settings.ca), pem(settings.key), pem(settings.cert));
}

/** grpc-js's form of the address, past nice-grpc's parser, which would add a port to a path. */
function targetOf(settings: ChannelSettings): string {
  if (settings.address.startsWith("unix:")) return `unix://${settings.address.slice("unix:".length)}`;
  return `${settings.ca === undefined ? "http" : "https"}://${settings.address}`;
}

function bearer(token: NonNullable<ChannelSettings["token"]>): ClientMiddleware {
  return async function* withToken(call, options) {
    const value = typeof token === "string" ? token : await token();
    const metadata = Metadata(options.metadata).set("authorization", `Bearer ${value}`);
    return yield* call.next(call.request, { ...options, metadata });
  };
}

function defaultDeadline(milliseconds: number): ClientMiddleware<DeadlineOptions, DeadlineOptions> {
  return async function* withDefaultDeadline(call, options) {
    const stream = call.requestStream || call.responseStream;
    const deadline = options.deadline ?? (stream ? undefined : milliseconds);
    return yield* call.next(call.request, deadline === undefined ? options : { ...options, deadline });
  };
}

/** How long a server that went away may take to be back. */
const BACK_MS = 5_000;

const hasRequestId = (request: unknown): boolean =>
  typeof request === "object" &&
  request !== null &&
  "requestId" in request &&
  typeof request.requestId === "string" &&
  request.requestId !== "";

/** What was lost is asked for again when the server is there, under the same request_id (C10). */
function repeating(channel: Channel): ClientMiddleware {
  return async function* withRepeat(call, options) {
    if (call.requestStream || call.responseStream || !hasRequestId(call.request)) return yield* call.next(call.request, options);
    try {
      return yield* call.next(call.request, options);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== Status.UNAVAILABLE) throw error;
      // Nobody came back: what is told is what happened to the call itself.
      await waitForChannelReady(channel, new Date(Date.now() + BACK_MS)).catch(() => {
        throw error;
      });
      return yield* call.next(call.request, options);
    }
  };
}

/** nice-grpc waits for the requests' generator before it gives an aborted call back: one that is stuck must not hold the caller. */
const releasedRequests: ClientMiddleware = async function* withReleasedRequests(call, options) {
  if (!call.requestStream || options.signal === undefined) return yield* call.next(call.request, options);
  return yield* call.next(abortable(call.request[Symbol.asyncIterator](), options.signal), options);
};

/** TLS compares names, not addresses: a socket or an IP address has none of its own. */
const hasName = (address: string): boolean => {
  const place = socketPlace(address);
  return "host" in place && isIP(place.host) === 0;
};

/** A channel to a Plenum server: errors with details, deadlines, token, reconnects by itself. */
export function openChannel(settings: ChannelSettings): RpcChannel {
  const name = settings.serverName ?? (hasName(settings.address) ? undefined : SERVER_NAME);
  const channel = createChannel(targetOf(settings), credentialsOf(settings), {
    ...CHANNEL_OPTIONS,
    ...(name === undefined || settings.ca === undefined ? {} : { "grpc.ssl_target_name_override": name, "grpc.default_authority": name }),
  });
  // The middleware used last runs first: the default deadline must be there before the one that arms it.
  const base = createClientFactory().use(errorDetailsClientMiddleware).use(releasedRequests);
  const withToken = settings.token === undefined ? base : base.use(bearer(settings.token));
  const withRepeat = settings.repeatUnavailable === true ? withToken.use(repeating(channel)) : withToken;
  const factory = withRepeat.use(deadlineMiddleware).use(defaultDeadline(settings.deadlineMs ?? 15_000));
  return {
    channel,
    client: (definition) => factory.create(definition, channel) as PlenumClient<typeof definition>,
    close: () => channel.close(),
  };
}

/** One client with a channel of its own. */
export function createChannelAndClient<Definition extends CompatServiceDefinition>(
  definition: Definition,
  settings: ChannelSettings,
): { client: PlenumClient<Definition>; close: () => void } {
  const rpc = openChannel(settings);
  return { client: rpc.client(definition), close: () => rpc.close() };
}
