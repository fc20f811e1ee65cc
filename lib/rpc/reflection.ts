import { ServerReflection, ServerReflectionService } from "nice-grpc-server-reflection";
import type { GrpcJsServiceDefinition } from "nice-grpc";
import type { ServiceBinding } from "./definition.ts";

const V1 = "grpc.reflection.v1.ServerReflection";
const V1ALPHA = "grpc.reflection.v1alpha.ServerReflection";

/** The same messages under the older name: many clients still ask for that one only. */
function underV1Alpha(service: GrpcJsServiceDefinition): GrpcJsServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([key, method]) => [key, { ...method, path: method.path.replace(V1, V1ALPHA) }]),
  ) as GrpcJsServiceDefinition;
}

/** Server reflection, v1 and v1alpha, of `serviceNames` from a `buf build -o image.binpb` that includes their imports. */
export function reflectionServices(image: Uint8Array, serviceNames: readonly string[]): ServiceBinding[] {
  const implementation = ServerReflection(image, [...serviceNames]);
  const service = ServerReflectionService as unknown as GrpcJsServiceDefinition;
  return [
    { definition: service, implementation },
    { definition: underV1Alpha(service), implementation },
  ];
}
