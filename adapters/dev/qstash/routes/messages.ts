import { json, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import type { Engine } from "../engine.ts";
import { createFilter, MESSAGE_FILTERS, valuesOf } from "../filters.ts";
import { messageView } from "../message.ts";

/** Pending messages: reading and cancelling. */
export function messageRoutes({ dispatcher, cancelMessage }: Engine): readonly Route[] {
  const cancelAll = (messageIds: Iterable<string>): Response => {
    let cancelled = 0;
    for (const messageId of messageIds) {
      if (cancelMessage(messageId)) cancelled += 1;
    }
    return json({ cancelled });
  };

  return [
    {
      method: "GET",
      path: /^\/v2\/messages\/([^/]+)$/,
      handle: (_call, messageId = "") => {
        const job = dispatcher.find(messageId);
        if (job === undefined) throw notFound(messageId);
        return json(messageView(job.message));
      },
    },
    {
      method: "DELETE",
      path: /^\/v2\/messages\/([^/]+)$/,
      handle: (_call, messageId = "") => {
        if (!cancelMessage(messageId)) throw notFound(messageId);
        return json({ cancelled: 1 });
      },
    },
    {
      method: "DELETE",
      path: /^\/v2\/messages\/?$/,
      // The parameter `count` is accepted and not heard: one call cancels everything that matches.
      handle: ({ query }) => {
        if (query.has("messageIds")) return cancelAll(valuesOf(query, "messageIds"));
        const matches = createFilter(query, MESSAGE_FILTERS);
        const found = dispatcher.jobs().filter(({ message }) => matches({ message, time: message.createdAt }));
        return cancelAll(found.map(({ message }) => message.messageId));
      },
    },
  ];
}

function notFound(messageId: string): ApiError {
  return new ApiError(404, `message "${messageId}" not found`);
}
