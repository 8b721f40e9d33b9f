import { ApiError } from "./api-error.ts";
import type { Message } from "./message.ts";

/** Anything that can be filtered: a message, with what became of it. */
export interface Filterable {
  readonly message: Message;
  /** Milliseconds since the epoch that `fromDate` and `toDate` compare with. */
  readonly time: number;
  readonly state?: string;
  readonly responseStatus?: number | undefined;
}

type Reader = (record: Filterable) => string | number | readonly string[] | undefined;

/** Each filter by its query parameter, with what it compares; several parameters combine with AND. */
const READERS: Record<string, Reader> = {
  messageId: ({ message }) => message.messageId,
  messageIds: ({ message }) => message.messageId,
  url: ({ message }) => message.url,
  host: ({ message }) => new URL(message.url).host,
  path: ({ message }) => new URL(message.url).pathname,
  topicName: ({ message }) => message.topicName,
  scheduleId: ({ message }) => message.scheduleId,
  queueName: ({ message }) => message.queueName,
  label: ({ message }) => message.labels,
  flowControlKey: ({ message }) => message.flowControl?.key,
  callerIp: ({ message }) => message.callerIP,
  callerIP: ({ message }) => message.callerIP,
  responseStatus: ({ responseStatus }) => responseStatus,
  state: ({ state }) => (isInProgress(state) ? [state, "IN_PROGRESS"] : state),
};

/** The filters that each listing knows. */
export const MESSAGE_FILTERS: readonly string[] = [
  "topicName",
  "queueName",
  "url",
  "host",
  "path",
  "label",
  "flowControlKey",
  "scheduleId",
  "callerIp",
  "callerIP",
];
export const DEAD_LETTER_FILTERS: readonly string[] = [
  "messageId",
  "url",
  "topicName",
  "scheduleId",
  "queueName",
  "responseStatus",
  "callerIp",
  "label",
  "flowControlKey",
];
export const LOG_FILTERS: readonly string[] = [...MESSAGE_FILTERS, "messageId", "messageIds", "state"];

/**
 * Builds the predicate that a query asks for, out of the filters that `names` allows. A parameter that is repeated,
 * or holds a comma-separated list, matches any of its values.
 */
export function createFilter(query: URLSearchParams, names: readonly string[]): (record: Filterable) => boolean {
  const wanted = names.flatMap((name) => {
    const reader = READERS[name];
    return query.has(name) && reader !== undefined ? [{ reader, values: valuesOf(query, name) }] : [];
  });
  const from = readDate(query, "fromDate") ?? Number.NEGATIVE_INFINITY;
  const to = readDate(query, "toDate") ?? Number.POSITIVE_INFINITY;
  return (record) =>
    record.time >= from &&
    record.time <= to &&
    wanted.every(({ reader, values }) => {
      const found = reader(record);
      if (found === undefined) return false;
      return typeof found === "object" ? found.some((value) => values.has(value)) : values.has(`${found}`);
    });
}

/** All values of a parameter. A value with a comma counts whole as well, since a URL may contain one. */
export function valuesOf(query: URLSearchParams, name: string): ReadonlySet<string> {
  return new Set(query.getAll(name).flatMap((value) => [value, ...value.split(",").map((part) => part.trim())]));
}

function readDate(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const time = Number(text);
  if (text === "" || !Number.isFinite(time))
    throw new ApiError(400, `invalid ${name}: expected milliseconds, found "${text}"`);
  return time;
}

function isInProgress(state: string | undefined): state is string {
  return state === "ACTIVE" || state === "RETRY" || state === "ERROR";
}
