/** A length of time as users write it: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"30d"`, or a number of milliseconds. */
export type Duration = string | number;

const UNIT_MILLIS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A hundred years: a time that far from now still is a date. */
const MAX_DURATION_MILLIS = 36_525 * 86_400_000;

/** The whole milliseconds of a {@link Duration}, or `undefined` where it is not one, or longer than a hundred years. */
export function parseDuration(duration: Duration): number | undefined {
  const millis = Math.round(typeof duration === "number" ? duration : millisOf(duration));
  return millis >= 0 && millis <= MAX_DURATION_MILLIS ? millis : undefined;
}

function millisOf(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text);
  return match === null ? Number.NaN : Number(match[1]) * UNIT_MILLIS[match[2] as string]!;
}

/** What a duration should look like, for error messages. */
export const DURATION_FORM = 'a duration such as "30s", "5m", "2h" or a number of milliseconds';

/** The shortest way to write a length of time: `90000` is `"90s"`. */
export function formatDuration(millis: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = UNIT_MILLIS[unit]!;
    if (millis >= size && millis % size === 0) return `${millis / size}${unit}`;
  }
  return `${millis}ms`;
}
