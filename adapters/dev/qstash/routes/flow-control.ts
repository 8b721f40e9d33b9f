import { done, json, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import type { Engine } from "../engine.ts";
import { flowKeyView } from "../flow-control.ts";

/** Flow-control keys, and the parallelism of the whole engine. */
export function flowControlRoutes({ flowControl, dispatcher, maxConcurrency }: Engine): readonly Route[] {
  const action = (name: string, run: (key: string, query: URLSearchParams) => void): Route => ({
    method: "POST",
    path: new RegExp(`^/v2/flowControl/([^/]+)/${name}$`),
    handle: ({ query }, key = "") => {
      run(key, query);
      return done();
    },
  });

  return [
    {
      method: "GET",
      path: /^\/v2\/flowControl\/?$/,
      handle: ({ query }) => {
        const search = query.get("search") ?? "";
        return json(flowControl.list().flatMap((flow) => (flow.key.includes(search) ? [flowKeyView(flow)] : [])));
      },
    },
    {
      method: "GET",
      path: /^\/v2\/flowControl\/([^/]+)$/,
      handle: (_call, key = "") => json(flowKeyView(flowControl.get(key))),
    },
    action("pause", (key) => flowControl.setPaused(key, true)),
    action("resume", (key) => flowControl.setPaused(key, false)),
    action("pin", (key, query) =>
      flowControl.pin(key, {
        parallelism: readLimit(query, "parallelism"),
        rate: readLimit(query, "rate"),
        ...periodOf(readLimit(query, "period")),
      }),
    ),
    action("unpin", (key, query) =>
      flowControl.unpin(key, {
        parallelism: query.get("parallelism") === "true",
        rate: query.get("rate") === "true",
      }),
    ),
    // The second name is the older one.
    action("(?:resetRate|reset)", (key) => flowControl.resetRate(key)),
    {
      method: "GET",
      path: /^\/v2\/globalParallelism$/,
      handle: () => json({ parallelismMax: maxConcurrency, parallelismCount: dispatcher.inFlight() }),
    },
  ];
}

function readLimit(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new ApiError(400, `invalid ${name}: expected a positive whole number, found "${text}"`);
  }
  return Number(text);
}

function periodOf(periodSeconds: number | undefined): { periodSeconds?: number } {
  return periodSeconds === undefined ? {} : { periodSeconds };
}
