// Percentiles out of a histogram: exact to the bucket, a straight line within it.

/**
 * The value that `share` of all counts do not exceed; undefined when nothing was counted. The last bucket has no upper
 * bound, so what lies there is told as the highest bound: "at least".
 */
export function percentile(
  buckets: readonly number[],
  bounds: readonly number[],
  share: number,
): number | undefined {
  const total = buckets.reduce((sum, count) => sum + Math.max(0, count), 0);
  if (total === 0) return undefined;
  let below = 0;
  for (const [bucket, bound] of bounds.entries()) {
    const count = Math.max(0, buckets[bucket] ?? 0);
    const wanted = share * total - below;
    if (count > 0 && wanted <= count) {
      const floor = bounds[bucket - 1] ?? 0;
      return floor + ((bound - floor) * Math.max(0, wanted)) / count;
    }
    below += count;
  }
  return bounds.at(-1);
}
