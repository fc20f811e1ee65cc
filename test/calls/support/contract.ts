import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import type { DescMethod, FileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { TsProtoServiceDefinition } from "nice-grpc";
import type { RpcChannel } from "#lib/rpc/client.ts";

const GEN = join(import.meta.dirname, "../../../gen");

/** The contract as the server describes itself. */
export const registry: FileRegistry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(join(GEN, "plenum.binpb"))));

/** Every RPC of ours, by path ("/plenum.network.v1.VpcService/GetVpc"). */
export const methods: ReadonlyMap<string, DescMethod> = new Map(
  [...registry].flatMap((type): [string, DescMethod][] =>
    type.kind === "service" && type.typeName.startsWith("plenum.")
      ? type.methods.map((method) => [`/${type.typeName}/${method.name}`, method])
      : [],
  ),
);

const isDefinition = (value: unknown): value is TsProtoServiceDefinition =>
  typeof value === "object" && value !== null && "fullName" in value && "methods" in value;

/** The generated definition of every service, by its full name. */
export async function definitions(): Promise<ReadonlyMap<string, TsProtoServiceDefinition>> {
  const files = readdirSync(join(GEN, "plenum"), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  const found = new Map<string, TsProtoServiceDefinition>();
  for (const file of files) {
    const module = (await import(join(GEN, "plenum", file))) as Record<string, unknown>;
    for (const value of Object.values(module)) if (isDefinition(value)) found.set(value.fullName, value);
  }
  return found;
}

export type Method = (request: unknown, options?: object) => Promise<unknown> & AsyncIterable<unknown>;

/** The generated client's method for an RPC by its path without "/plenum." ("network.v1.VpcService/GetVpc"). */
export function methodOf(channel: RpcChannel, services: ReadonlyMap<string, TsProtoServiceDefinition>, rpc: string): Method {
  const [name = "", method = ""] = rpc.split("/");
  const definition = services.get(`plenum.${name}`);
  if (definition === undefined) throw new Error(`nothing is generated for ${name}`);
  const client = channel.client(definition) as unknown as Record<string, Method>;
  const call = client[method.charAt(0).toLowerCase() + method.slice(1)];
  if (call === undefined) throw new Error(`nothing is generated for ${rpc}`);
  return call;
}
