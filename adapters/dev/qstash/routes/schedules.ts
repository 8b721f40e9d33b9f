import { done, json, type Route } from "../api-call.ts";
import type { Engine } from "../engine.ts";
import { scheduleView } from "../schedules.ts";
import { checkSize, requestOf } from "./publish.ts";

const ONE = /^\/v2\/schedules\/([^/]+)$/;
const PAUSE = /^\/v2\/schedules\/([^/]+)\/pause$/;
const RESUME = /^\/v2\/schedules\/([^/]+)\/resume$/;

/** Schedules. Pausing is a PATCH in the SDK and a POST in the API description: both are understood. */
export function scheduleRoutes({ schedules, queues, maxMessageBytes }: Engine): readonly Route[] {
  const pausing = (path: RegExp, paused: boolean): readonly Route[] =>
    ["PATCH", "POST"].map((method) => ({
      method,
      path,
      handle: (_call, scheduleId = "") => {
        schedules.setPaused(scheduleId, paused);
        return done();
      },
    }));

  return [
    { method: "GET", path: /^\/v2\/schedules\/?$/, handle: () => json(schedules.list().map(scheduleView)) },
    { method: "GET", path: ONE, handle: (_call, scheduleId = "") => json(scheduleView(schedules.get(scheduleId))) },
    {
      method: "DELETE",
      path: ONE,
      handle: (_call, scheduleId = "") => {
        schedules.delete(scheduleId);
        return done();
      },
    },
    ...pausing(PAUSE, true),
    ...pausing(RESUME, false),
    {
      method: "POST",
      path: /^\/v2\/schedules\/./,
      handle: async (call) => {
        const request = requestOf(call, "/v2/schedules/");
        checkSize(request.body, maxMessageBytes);
        const queueName = request.headers.get("upstash-queue-name");
        if (queueName) queues.getOrCreate(queueName);
        return json({ scheduleId: await schedules.create(request) });
      },
    },
  ];
}
