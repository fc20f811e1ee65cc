import { BpfMap } from "./bpf-map.ts";
import { conversion, NotCarried, type Conversion } from "./convert-layout.ts";
import { describeMap, elementLayout, type ElementLayout } from "./kernel-layout.ts";
import { getPinned, type PinSet } from "./pins.ts";

/** A map, and what the kernel says its elements are made of. */
export interface DescribedMap {
  map: BpfMap<string>;
  layout: ElementLayout;
}

/** @throws NotCarried if the map was made without BTF */
export function describe(map: BpfMap<string>): DescribedMap {
  const layout = elementLayout(describeMap(map.fd));
  if (layout === undefined) throw new NotCarried("the kernel does not know its layout");
  return { map, layout };
}

/** Opens a map that another version pinned; the caller closes it. Undefined: it has no such map. @throws NotCarried, KernelError */
export function openForeign(directory: string, name: string): DescribedMap | undefined {
  const { [name]: fd } = getPinned(directory, [name]);
  if (fd === undefined) return undefined;
  const map = new BpfMap<string>(name, fd, describeMap(fd));
  try {
    return describe(map);
  } catch (error) {
    map.close();
    throw error;
  }
}

/** Reads one map of another set as elements of this version's. */
export function withForeign<R>(
  set: PinSet,
  own: BpfMap<string>,
  use: (old: DescribedMap, convert: Conversion, own: DescribedMap) => R,
): R | undefined {
  const old = openForeign(set.maps, own.name);
  if (old === undefined) return undefined;
  try {
    const described = describe(own);
    return use(old, conversion(old.layout, described.layout), described);
  } finally {
    old.map.close();
  }
}
