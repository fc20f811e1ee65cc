import { invalidArgument } from "#lib/rpc/errors.ts";

/**
 * The fields that an update's mask names, each of `known`. `remedyFor`: what to do instead for a field that is changed elsewhere.
 * INVALID_ARGUMENT for an empty mask and for any other field.
 */
export function maskField<Field extends string>(
  mask: readonly string[] | undefined,
  known: readonly Field[],
  remedyFor: (path: string) => string | undefined = () => undefined,
): ReadonlySet<Field> {
  const paths = mask ?? [];
  if (paths.length === 0) throw invalidArgument("update_mask", "is empty", `name what to change: ${known.join(", ")}`);
  return new Set(
    paths.map((path) => {
      const field = known.find((one) => one === path);
      if (field === undefined) {
        const remedy = remedyFor(path) ?? `these can be changed: ${known.join(", ")}`;
        throw invalidArgument("update_mask", `names ${JSON.stringify(path.slice(0, 80))}`, remedy);
      }
      return field;
    }),
  );
}
