import type { CallContext, CompatServiceDefinition, ServiceImplementation, TsProtoServiceDefinition } from "nice-grpc";
import type { RpcContext } from "./context.ts";

/** A service and what serves it; made by {@link bind}, so that the types agreed where it was made. */
export interface ServiceBinding {
  readonly definition: CompatServiceDefinition;
  readonly implementation: object;
}

/** Pair a generated definition with its handlers. Handlers get a `ServerContext` (caller, action, …) as second argument. */
export function bind<Definition extends CompatServiceDefinition>(
  definition: Definition,
  implementation: ServiceImplementation<Definition, RpcContext>,
): ServiceBinding {
  return { definition, implementation };
}

/** What a handler sees besides the request. */
export type ServerContext = CallContext & RpcContext;

/** Stands in for a request whose bytes are not one: grpc-js would answer INTERNAL where the truth is INVALID_ARGUMENT. */
export class Undecodable {
  readonly cause: unknown;
  constructor(cause: unknown) {
    this.cause = cause;
  }
}

const tolerant = (decode: (bytes: Uint8Array) => unknown) => (bytes: Uint8Array) => {
  try {
    return decode(bytes);
  } catch (error) {
    return new Undecodable(error);
  }
};

const isGenerated = (definition: CompatServiceDefinition): definition is TsProtoServiceDefinition =>
  "fullName" in definition && "methods" in definition;

/** The part of a method that is not ts-proto's (reflection's, from protoc's own generator). */
interface PlainMethod {
  readonly path: string;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

/** The definition as it is served: broken bytes become an {@link Undecodable}, which the middleware refuses. */
export function servable(definition: CompatServiceDefinition): CompatServiceDefinition {
  if (isGenerated(definition)) {
    const methods = Object.entries(definition.methods).map(([key, method]) => {
      const requestType = { ...method.requestType, decode: tolerant((bytes) => method.requestType.decode(bytes)) };
      return [key, { ...method, requestType }];
    });
    return { ...definition, methods: Object.fromEntries(methods) as TsProtoServiceDefinition["methods"] };
  }
  const methods = Object.entries(definition as Record<string, PlainMethod>).map(([key, method]) => [
    key,
    { ...method, requestDeserialize: tolerant((bytes) => method.requestDeserialize(Buffer.from(bytes))) },
  ]);
  return Object.fromEntries(methods) as CompatServiceDefinition;
}

/** Handler names of a definition → RPC paths. */
function methodsOf(definition: CompatServiceDefinition): [string, string][] {
  return isGenerated(definition)
    ? Object.entries(definition.methods).map(([key, method]) => [key, `/${definition.fullName}/${method.name}`])
    : Object.entries(definition as Record<string, PlainMethod>).map(([key, method]) => [key, method.path]);
}

/** Names of the handlers that a definition wants. */
export function handlersOf(definition: CompatServiceDefinition): string[] {
  return methodsOf(definition).map(([key]) => key);
}

/** Paths of every RPC of a definition. */
export function pathsOf(definition: CompatServiceDefinition): string[] {
  return methodsOf(definition).map(([, path]) => path);
}

/** Full name of a definition's service ("plenum.network.v1.VpcService"). */
export function serviceName(definition: CompatServiceDefinition): string {
  return pathsOf(definition)[0]?.split("/")[1] ?? "";
}
