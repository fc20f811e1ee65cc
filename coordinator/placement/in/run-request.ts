import { InstanceDriver } from "#gen/plenum/compute/v1/instance.ts";
import type { InstanceInterface, InstanceProcess, RunInstanceRequest } from "#gen/plenum/compute/v1/instance.ts";
import type { InterfaceSpec } from "#gen/plenum/nivc/v1/interface_service.ts";
import { parseId } from "#lib/ids/ids.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { displayName, soughtName } from "#lib/rpc/name.ts";
import { listOf, text } from "#lib/rpc/validate.ts";
import { tagsField } from "../../call/api.ts";
import { MAX_DEVICES } from "../../interface/api.ts";

const MAX_ARGS = 64;
const MAX_ARG = 4_096;
const MAX_ENV = 64;
/** Arguments and environment together, bytes: every host's snapshot carries them, and the kernel takes them at once (execve). */
const MAX_PROCESS_BYTES = 131_072;

/** An interface of a new instance: one that exists, or one to make. */
export type RunInterface = { readonly path: string; readonly deleteOnTerminate: boolean } & (
  { readonly kind: "existing"; readonly interfaceId: string } | { readonly kind: "new"; readonly spec: InterfaceSpec }
);

/** A request whose form is right. */
export interface CheckedRun {
  /** "": the caller's own account. */
  readonly ownerAccount: string;
  readonly name: string;
  readonly driver: InstanceDriver;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly zoneId: string;
  readonly hostId: string;
  readonly interfaces: readonly RunInterface[];
  readonly stopped: boolean;
  readonly tags: Readonly<Record<string, string>>;
  /** "": nobody. */
  readonly actsAs: string;
}

/** Neither the kernel's argv nor PostgreSQL's text holds a NUL. */
function withoutNul(value: string, field: string): string {
  if (value.includes("\0")) throw invalidArgument(field, "has a NUL character", "leave it out");
  return value;
}

function checkProcess(program: InstanceProcess | undefined): { argv: readonly string[]; env: Readonly<Record<string, string>> } {
  if (program === undefined) return { argv: [], env: {} };
  listOf(program.argv, "process.argv", { min: 1, max: MAX_ARGS });
  program.argv.forEach((arg, index) =>
    withoutNul(text(arg, `process.argv[${index}]`, { min: index === 0 ? 1 : 0, max: MAX_ARG }), `process.argv[${index}]`),
  );
  const entries = Object.entries(program.env);
  listOf(entries, "process.env", { max: MAX_ENV });
  for (const [key, value] of entries) {
    const field = `process.env[${JSON.stringify(key.slice(0, 40))}]`;
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(key))
      throw invalidArgument(field, "is not a name", "use letters, digits and underscores, not a digit first");
    withoutNul(text(value, field, { min: 0, max: MAX_ARG }), field);
  }
  const bytes = [...program.argv, ...entries.flat()].reduce((sum, one) => sum + Buffer.byteLength(one) + 1, 0);
  if (bytes > MAX_PROCESS_BYTES)
    throw invalidArgument("process", `has ${bytes} bytes of arguments and environment`, `give at most ${MAX_PROCESS_BYTES} together`);
  return { argv: program.argv, env: program.env };
}

function checkInterface(one: InstanceInterface, path: string): RunInterface {
  switch (one.source?.$case) {
    case undefined:
      throw invalidArgument(path, "has no source", "give interface_id or create");
    case "interfaceId":
      return {
        kind: "existing",
        interfaceId: parseId("eni", one.source.value, `${path}.interface_id`),
        deleteOnTerminate: one.deleteOnTerminate ?? false,
        path,
      };
    case "create":
      return { kind: "new", spec: one.source.value, deleteOnTerminate: one.deleteOnTerminate ?? true, path };
  }
}

/** INVALID_ARGUMENT. What depends on other resources is not checked here; nor is NO_INTERFACE, which is about starting. */
export function checkRun(request: RunInstanceRequest): CheckedRun {
  if (request.driver !== InstanceDriver.UNSPECIFIED && request.driver !== InstanceDriver.NETNS) {
    throw invalidArgument("driver", `is ${request.driver}`, "this version has INSTANCE_DRIVER_NETNS");
  }
  listOf(request.interfaces, "interfaces", { max: MAX_DEVICES });
  if (request.ownerAccount !== "") parseId("acct", request.ownerAccount, "owner_account");
  if (request.hostId !== "") parseId("host", request.hostId, "host_id");
  return {
    ownerAccount: request.ownerAccount,
    name: displayName(request.name, "name"),
    driver: InstanceDriver.NETNS,
    ...checkProcess(request.process),
    zoneId: soughtName(request.zoneId, "zone_id", { max: 63 }),
    hostId: request.hostId,
    interfaces: request.interfaces.map((one, index) => checkInterface(one, `interfaces[${index}]`)),
    stopped: request.stopped,
    tags: tagsField(request.tags, "tags"),
    actsAs: soughtName(request.actsAs, "acts_as", { max: 128 }),
  };
}
