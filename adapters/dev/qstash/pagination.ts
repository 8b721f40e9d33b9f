import { ApiError } from "./api-error.ts";

/** What can be paged through: things with a rising sequence number, whose times do not fall. */
export interface Sequenced {
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Breaks ties of the time. */
  readonly sequence: number;
}

/** One page of a listing; the cursor is absent on the last page. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly cursor?: string;
}

export interface PageRequest {
  readonly cursor: string | null;
  readonly count: number;
  readonly newestFirst: boolean;
}

const DEFAULT_COUNT = 100;

/** The id by which an item is known outside, and the cursor that continues behind it: `time-sequence`. */
export function sequencedId({ time, sequence }: Sequenced): string {
  return `${time}-${sequence}`;
}

/** The `count` of a query, 100 unless it says; never more than `max`. */
export function readPageSize(query: URLSearchParams, max: number): number {
  const text = query.get("count");
  if (text === null) return DEFAULT_COUNT;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) {
    throw new ApiError(400, `invalid count: expected a positive whole number, found "${text}"`);
  }
  return Math.min(count, max);
}

/**
 * The page behind `cursor`, out of items that are given oldest first. The cursor is the last item of the page before,
 * so that items which came or went in between neither repeat nor hide others. A bare time is understood too.
 */
export function paginate<Item extends Sequenced>(
  items: readonly Item[],
  { cursor, count, newestFirst }: PageRequest,
): Page<Item> {
  const ordered = newestFirst ? [...items].reverse() : items;
  const rest = cursor === null || cursor === "" ? ordered : ordered.filter(isBehind(readCursor(cursor), newestFirst));
  const page = rest.slice(0, count);
  const last = page.at(-1);
  return rest.length > page.length && last !== undefined ? { items: page, cursor: sequencedId(last) } : { items: page };
}

function isBehind(cursor: Sequenced, newestFirst: boolean): (item: Sequenced) => boolean {
  return (item) => {
    const order = item.time - cursor.time || item.sequence - cursor.sequence;
    return newestFirst ? order < 0 : order > 0;
  };
}

function readCursor(text: string): Sequenced {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw new ApiError(400, `invalid cursor "${text}"`);
  return { time: Number(match[1]), sequence: Number(match[2] ?? 0) };
}
