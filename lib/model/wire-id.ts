/** Ids instead of MACs between hosts (D2): `02`, 32 bits, 8 bits spare. */

const MARK = "02";
const SPARE = "00";

export function wireMac(id: number): string {
  const octets = id
    .toString(16)
    .padStart(8, "0")
    .replace(/..(?=.)/g, "$&:");
  return `${MARK}:${octets}:${SPARE}`;
}

/** Undefined: not one of ours. */
export function wireIdOf(mac: string): number | undefined {
  const [mark, ...octets] = mac.split(":");
  return mark === MARK ? parseInt(octets.slice(0, 4).join(""), 16) : undefined;
}
