const UNIT_MILLIS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/gy;

/**
 * Milliseconds of a duration such as `50s`, `1d10h30m` or `1.5h`, or `undefined` for anything else.
 *
 * Go's notation, with days added as the QStash documentation has them.
 */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  let millis = 0;
  let end = 0;
  for (const part of trimmed.matchAll(PART)) {
    const [whole, value, unit] = part;
    millis += Number(value) * (UNIT_MILLIS[unit ?? ""] ?? Number.NaN);
    end = part.index + whole.length;
  }
  return end > 0 && end === trimmed.length ? millis : undefined;
}
