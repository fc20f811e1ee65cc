/** The door of every Plenum server and client: identity, errors, deadlines, health and reflection in one form. */
export { actionOfOptions, actionsOf } from "./actions.ts";
export { ANONYMOUS, hostIdOfUri, hostUri, requireHost, requireOperator } from "./caller.ts";
export type { Caller, Role, TokenVerifier } from "./caller.ts";
export { createChannelAndClient, openChannel } from "./client.ts";
export type { ChannelSettings, PlenumClient, RpcChannel } from "./client.ts";
export { callFailure, isTransient } from "./client-error.ts";
export type { CallFailure } from "./client-error.ts";
export type { CallObserver, RpcContext } from "./context.ts";
export { bind, pathsOf, serviceName } from "./definition.ts";
export type { ServerContext, ServiceBinding } from "./definition.ts";
export * from "./errors.ts";
export { Health } from "./health.ts";
export { createPageTokens, openPageTokens, pageOf } from "./page-token.ts";
export type { PageScope, PageTokens } from "./page-token.ts";
export type { ReasonName } from "./reason.ts";
export { MAX_MESSAGE_BYTES, startServer } from "./server.ts";
export type { Listener, RpcServer, ServerOptions } from "./server.ts";
export type { ServerTls } from "./tls.ts";
