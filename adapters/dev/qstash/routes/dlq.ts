import { type ApiCall, done, json, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import { type DeadLetter, deadLetterView } from "../dead-letters.ts";
import type { Engine } from "../engine.ts";
import { createFilter, DEAD_LETTER_FILTERS, valuesOf } from "../filters.ts";
import { type Page, paginate, readPageSize } from "../pagination.ts";
import type { PublishResult } from "../publisher.ts";
import { configHeaders } from "./publish.ts";

const ONE = /^\/v2\/dlq\/([^/]+)$/;
const MAX_COUNT = 100;
/** What a redrive does not take over from the original: its waiting and its deduplication are over. */
const SPENT_HEADERS = [
  "upstash-delay",
  "upstash-not-before",
  "upstash-deduplication-id",
  "upstash-content-based-deduplication",
];

/** The dead-letter queue: reading, deleting, redriving. Lists are newest first. */
export function dlqRoutes({ deadLetters, publisher }: Engine): readonly Route[] {
  /** By `dlqIds`, which must not be mixed with filters, or by filters, page by page. */
  const select = ({ query }: ApiCall): Page<DeadLetter> => {
    if (query.has("dlqIds")) {
      const ids = valuesOf(query, "dlqIds");
      return { items: deadLetters.list().filter(({ dlqId }) => ids.has(dlqId)) };
    }
    for (const name of ["host", "path"]) {
      if (query.has(name)) throw new ApiError(400, `the filter "${name}" is not supported by the dlq`);
    }
    const matches = createFilter(query, DEAD_LETTER_FILTERS);
    const found = deadLetters
      .list()
      .filter(({ message, time, response }) => matches({ message, time, responseStatus: response.status }));
    return paginate(found, { cursor: query.get("cursor"), count: readPageSize(query, MAX_COUNT), newestFirst: true });
  };

  /** Publishes the message anew, under a new id, and removes the dead letter. */
  const redrive = async (call: ApiCall, { dlqId, message }: DeadLetter): Promise<PublishResult | undefined> => {
    const headers = new Headers(message.sourceHeaders);
    for (const name of SPENT_HEADERS) headers.delete(name);
    for (const [name, value] of configHeaders(call)) {
      if (name.startsWith("upstash-")) headers.set(name, value);
    }
    const { url: destination, body, topicName, endpointName, queueName, scheduleId } = message;
    const origin = { topicName, endpointName, queueName, scheduleId };
    const prepared = await publisher.prepare({ destination, headers, body, origin });
    // Of two redrives at a time, one finds the letter gone.
    return deadLetters.remove(dlqId) ? publisher.accept(prepared)[0] : undefined;
  };

  const redriveMany = async (call: ApiCall): Promise<Response> => {
    const { items, cursor = "" } = select(call);
    const wanted = call.query.getAll("dlqIds").flatMap((ids) => ids.split(","));
    if (wanted.length > items.length) throw notFound();
    const responses: PublishResult[] = [];
    for (const letter of items) {
      const response = await redrive(call, letter);
      if (response !== undefined) responses.push(response);
    }
    return json({ responses, cursor }, 201);
  };

  return [
    {
      method: "GET",
      path: /^\/v2\/dlq\/?$/,
      handle: (call) => {
        const { items, cursor } = select(call);
        return json({ messages: items.map(deadLetterView), cursor });
      },
    },
    {
      method: "DELETE",
      path: /^\/v2\/dlq\/?$/,
      handle: (call) => {
        const { items, cursor } = select(call);
        for (const { dlqId } of items) deadLetters.remove(dlqId);
        return json({ deleted: items.length, cursor });
      },
    },
    { method: "POST", path: /^\/v2\/dlq\/retry\/?$/, handle: redriveMany },
    {
      method: "POST",
      path: /^\/v2\/dlq\/retry\/([^/]+)$/,
      handle: async (call, dlqId = "") => {
        const result = await redrive(call, deadLetters.get(dlqId));
        if (result === undefined) throw notFound();
        return json(result, 201);
      },
    },
    { method: "GET", path: ONE, handle: (_call, dlqId = "") => json(deadLetterView(deadLetters.get(dlqId))) },
    {
      method: "DELETE",
      path: ONE,
      handle: (_call, dlqId = "") => {
        deadLetters.get(dlqId);
        deadLetters.remove(dlqId);
        return done();
      },
    },
  ];
}

function notFound(): ApiError {
  return new ApiError(404, "some messages were not found in the dlq");
}
