/** Tag of `plenum.options.v1.action` (field 50001, length-delimited) among ts-proto's unknown fields of a method's options. */
const ACTION_TAG = String((50_001 << 3) | 2);

/** The part of a generated method definition that this reads. */
interface GeneratedMethod {
  readonly name: string;
  readonly options?: { readonly _unknownFields?: Readonly<Record<string, readonly Uint8Array[]>> };
}

interface GeneratedService {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, GeneratedMethod>>;
}

/** A length-delimited field as ts-proto keeps it: a varint length, then that many bytes. */
function decodeLengthDelimited(bytes: Uint8Array): string {
  let length = 0;
  let shift = 0;
  let at = 0;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined) throw new RangeError("truncated option");
    at += 1;
    length |= (byte & 0x7f) << shift;
    if ((byte & 0x80) === 0) break;
    shift += 7;
  }
  if (at + length !== bytes.length) throw new RangeError("an option's length does not fit its bytes");
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(at));
}

/** The authorisation action of a generated method ("nivc:AttachInterface"), or undefined when its proto names none. */
export function actionOfOptions(options: unknown): string | undefined {
  const fields = (options as GeneratedMethod["options"])?._unknownFields?.[ACTION_TAG];
  const last = fields?.at(-1);
  return last === undefined ? undefined : decodeLengthDelimited(last);
}

/** Method path ("/plenum.nivc.v1.InterfaceService/AttachInterface") → action, for the RPCs of these services that have one. */
export function actionsOf(definitions: Iterable<unknown>): ReadonlyMap<string, string> {
  const actions = new Map<string, string>();
  for (const definition of definitions) {
    if (!isGeneratedService(definition)) continue;
    for (const method of Object.values(definition.methods)) {
      const action = actionOfOptions(method.options);
      if (action !== undefined) actions.set(`/${definition.fullName}/${method.name}`, action);
    }
  }
  return actions;
}

function isGeneratedService(definition: unknown): definition is GeneratedService {
  return typeof definition === "object" && definition !== null && "fullName" in definition && "methods" in definition;
}
