import { type ApiCall, json, type Route } from "../api-call.ts";
import type { Engine } from "../engine.ts";
import { logEntryView } from "../event-log.ts";
import { createFilter, LOG_FILTERS } from "../filters.ts";
import { paginate, readPageSize } from "../pagination.ts";

const MAX_COUNT = 1000;

/** The log, as `events` for the SDK and as `logs` for the API description; newest first unless asked otherwise. */
export function eventRoutes({ log }: Engine): readonly Route[] {
  const list = (name: "events" | "logs") =>
    function listLog({ query }: ApiCall): Response {
      const matches = createFilter(query, LOG_FILTERS);
      const found = log
        .entries()
        .filter(({ message, time, state, response }) =>
          matches({ message, time, state, responseStatus: response?.status }),
        );
      const { items, cursor } = paginate(found, {
        cursor: query.get("cursor"),
        count: readPageSize(query, MAX_COUNT),
        newestFirst: query.get("order") !== "earliestFirst",
      });
      return json({ [name]: items.map(logEntryView), cursor });
    };

  return [
    { method: "GET", path: /^\/v2\/events\/?$/, handle: list("events") },
    { method: "GET", path: /^\/v2\/logs\/?$/, handle: list("logs") },
  ];
}
