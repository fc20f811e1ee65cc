/** Middle, and the range in which the middle half lies. */
export interface Spread {
  count: number;
  median: number;
  lowerQuartile: number;
  upperQuartile: number;
  min: number;
  max: number;
}

/** Value below which a share `q` (0..1) of the values lies, interpolated. NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export function spread(values: readonly number[]): Spread {
  const at = (q: number): number => quantile(values, q);
  return { count: values.length, median: at(0.5), lowerQuartile: at(0.25), upperQuartile: at(0.75), min: at(0), max: at(1) };
}

/** "12.3 (11.9 to 12.8)": the median and the middle half. */
export function spreadText(values: readonly number[], digits = 2): string {
  const { median, lowerQuartile, upperQuartile } = spread(values);
  return `${median.toFixed(digits)} (${lowerQuartile.toFixed(digits)} to ${upperQuartile.toFixed(digits)})`;
}
