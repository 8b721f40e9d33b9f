import { done, json, readObject, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import type { Engine } from "../engine.ts";
import { queueView } from "../queues.ts";

export function queueRoutes({ queues, dispatcher, cancelMessage }: Engine): readonly Route[] {
  const setPaused = (name: string, paused: boolean): Response => {
    dispatcher.wakeQueue(queues.upsert(name, { paused }));
    return done();
  };

  return [
    { method: "GET", path: /^\/v2\/queues\/?$/, handle: () => json(queues.list().map(queueView)) },
    {
      method: "POST",
      path: /^\/v2\/queues\/?$/,
      handle: (call) => {
        const { queueName, parallelism, paused } = readObject(call);
        if (typeof queueName !== "string") throw new ApiError(400, "invalid body: expected a queueName");
        const settings = {
          ...(parallelism === undefined ? {} : { parallelism: Number(parallelism) }),
          ...(typeof paused === "boolean" ? { paused } : {}),
        };
        dispatcher.wakeQueue(queues.upsert(queueName, settings));
        return done();
      },
    },
    {
      method: "GET",
      path: /^\/v2\/queues\/([^/]+)$/,
      handle: (_call, name = "") => json(queueView(queues.get(name))),
    },
    {
      method: "DELETE",
      path: /^\/v2\/queues\/([^/]+)$/,
      handle: (_call, name = "") => {
        for (const { message } of queues.delete(name).line) cancelMessage(message.messageId);
        return done();
      },
    },
    {
      method: "POST",
      path: /^\/v2\/queues\/([^/]+)\/pause$/,
      handle: (_call, name = "") => setPaused(name, true),
    },
    {
      method: "POST",
      path: /^\/v2\/queues\/([^/]+)\/resume$/,
      handle: (_call, name = "") => setPaused(name, false),
    },
  ];
}
