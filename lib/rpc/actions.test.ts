import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createFileRegistry, fromBinary, getOption } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { actionOfOptions, actionsOf } from "./actions.ts";

it("reads from the generated code the same action as the descriptors hold, for every RPC", async () => {
  const image = await readFile(join(import.meta.dirname, "../../gen/plenum.binpb"));
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const extension = registry.getExtension("plenum.options.v1.action")!;
  const definitions = [VpcServiceDefinition, TokenServiceDefinition, HostFeedServiceDefinition];
  const expected = new Map<string, unknown>();
  for (const { fullName } of definitions) {
    for (const method of registry.getService(fullName)!.methods) expected.set(`/${fullName}/${method.name}`, getOption(method, extension));
  }
  expect(expected.size).toBeGreaterThan(6);
  expect(new Map(actionsOf(definitions))).toEqual(expected);
});

it("reads a long action, takes none for none, and refuses a broken one", () => {
  const text = "a".repeat(200);
  const option = (bytes: Uint8Array) => ({ _unknownFields: { 400010: [bytes] } });
  expect(actionOfOptions(option(Uint8Array.from([0xc8, 0x01, ...Buffer.from(text)])))).toBe(text);
  expect(actionOfOptions({})).toBeUndefined();
  expect(actionOfOptions(undefined)).toBeUndefined();
  expect(() => actionOfOptions(option(Uint8Array.from([5, 97])))).toThrow(RangeError);
  expect(() => actionOfOptions(option(Uint8Array.from([0x80])))).toThrow(RangeError);
});
