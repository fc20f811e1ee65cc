import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from "nice-grpc-common";
import { Status } from "nice-grpc-common";
import type { Logger } from "../log/log.ts";
import type { Refusal } from "../audit/refusal-tally.ts";
import { abortable } from "./abortable.ts";
import { actionOfOptions } from "./actions.ts";
import { ANONYMOUS, authenticate } from "./caller.ts";
import type { Caller, TokenVerifier } from "./caller.ts";
import { credentialLife } from "./credential-life.ts";
import type { CredentialLife } from "./credential-life.ts";
import { Undecodable } from "./definition.ts";
import { mapError } from "./error-mapping.ts";
import { PlenumError, unauthenticated } from "./errors.ts";
import type { Throttle } from "./throttle.ts";
import { itemsOf, mayWait } from "./weight.ts";

/** Added to nice-grpc's context of every call. */
export interface RpcContext {
  /** Who calls, verified. Never anonymous, except where the server was told that nobody may call. */
  readonly caller: Caller;
  /** The RPC's authorisation action ("nivc:AttachInterface"); empty for health and reflection. */
  readonly action: string;
  /** The RPC's path ("/plenum.nivc.v1.InterfaceService/AttachInterface"). */
  readonly method: string;
  /** The request, of RPCs that take one; undefined where requests are a stream. For what is kept beside a call (the audit). */
  readonly request: unknown;
}

/** Called once per finished call; `code` is the status name ("OK", "NOT_FOUND"). */
export type CallObserver = (call: { method: string; code: string; seconds: number }) => void;

export interface ContextOptions {
  readonly log: Logger;
  readonly verifier?: TokenVerifier | undefined;
  /** RPC paths that nobody in particular may call (health, reflection, a host's first join). */
  readonly anonymous: ReadonlySet<string>;
  /** Aborted when the server begins to close: open streams end with it. */
  readonly closing: AbortSignal;
  readonly observe?: CallObserver | undefined;
  /** Bounds how often each caller calls. */
  readonly throttle?: Throttle | undefined;
  /** Told of each call that is refused for who the caller is or how often it calls, unless the refusal is in the audit already. */
  readonly refused?: ((refusal: Refusal) => void) | undefined;
}

function refuseUndecodable<Request>(request: Request): Request {
  if (!(request instanceof Undecodable)) return request;
  throw new PlenumError({
    code: Status.INVALID_ARGUMENT,
    reason: "UNDECODABLE",
    message: "the bytes sent are not a message of this RPC's request type; check that both sides use the same contract",
    cause: request.cause,
  });
}

async function* readable<Request>(requests: AsyncIterable<Request>, signal: AbortSignal): AsyncGenerator<Request, void, undefined> {
  for await (const request of abortable(requests[Symbol.asyncIterator](), signal)) yield refuseUndecodable(request);
}

async function identify(context: CallContext, options: ContextOptions): Promise<Caller> {
  try {
    return await authenticate(context.metadata, options.verifier);
  } catch (error) {
    // Guessing at tokens counts as unknown callers do. It never closes the door to those who have one.
    options.throttle?.admit(ANONYMOUS, context.peer);
    throw error;
  }
}

/** `request`: undefined where requests are a stream. */
function admit(caller: Caller, path: string, request: unknown, context: CallContext, options: ContextOptions): void {
  options.throttle?.admit(caller, context.peer, itemsOf(path, request));
  const open = options.anonymous.has(path);
  if (caller === ANONYMOUS && !open) throw unauthenticated("send `authorization: Bearer <token>`, or a host's client certificate");
}

const THROTTLED: ReadonlySet<string> = new Set(["RATE_LIMITED", "TOO_MANY_WAITING"]);

/** Whether an error says that this caller is not to have it, whatever it is. */
function isRefusal(error: unknown): error is PlenumError {
  if (!(error instanceof PlenumError) || error.audited) return false;
  return error.code === Status.UNAUTHENTICATED || error.code === Status.PERMISSION_DENIED || THROTTLED.has(error.reason);
}

const codeOf = (error: unknown): string => Status[(error as { code?: number }).code ?? Status.UNKNOWN] ?? "UNKNOWN";

/**
 * The one middleware of every Plenum server: who calls, may the bytes be read, and one shape for whatever goes wrong.
 */
export function contextMiddleware(options: ContextOptions): ServerMiddleware<RpcContext> {
  return async function* withContext<Request, Response>(call: ServerMiddlewareCall<Request, Response, RpcContext>, context: CallContext) {
    const { path } = call.method;
    const start = performance.now();
    let code = "OK";
    const stream = call.requestStream || call.responseStream;
    const action = actionOfOptions(call.method.options) ?? "";
    let caller = ANONYMOUS;
    let leave: (() => void) | undefined;
    let life: CredentialLife | undefined;
    try {
      caller = await identify(context, options);
      const unread = call.requestStream ? undefined : call.request;
      admit(caller, path, unread, context, options);
      if (mayWait(path, unread)) leave = options.throttle?.wait(caller);
      // A unary call is let finish when the server closes or what its caller showed ends; a stream would go on for ever.
      life = stream ? credentialLife(caller) : undefined;
      const signal = life === undefined ? context.signal : AbortSignal.any([context.signal, options.closing, life.over]);
      const request = call.requestStream ? readable(call.request, signal) : refuseUndecodable(call.request);
      const kept = call.requestStream ? undefined : request;
      const extended = Object.assign(context, { caller, action, method: path, request: kept, signal });
      if (!call.responseStream) return yield* call.next(request, extended);
      // A handler that waits for something else than the signal must not hold the server, nor a dead caller's stream.
      yield* abortable(call.next(request, extended), signal);
    } catch (error) {
      const told = life?.over.aborted === true ? life.refusal() : error;
      if (isRefusal(told)) options.refused?.({ caller, peer: context.peer, action, method: path, reason: told.reason });
      const mapped = mapError(told, { method: path, closing: options.closing.aborted, log: options.log });
      code = codeOf(mapped);
      throw mapped;
    } finally {
      leave?.();
      life?.close();
      options.observe?.({ method: path, code, seconds: (performance.now() - start) / 1_000 });
    }
  };
}
