import { json, type Route } from "../api-call.ts";
import type { Engine } from "../engine.ts";

/** The signing keys, and their rotation. */
export function keyRoutes({ keys }: Engine): readonly Route[] {
  return [
    { method: "GET", path: /^\/v2\/keys\/?$/, handle: () => json(keys.get()) },
    { method: "POST", path: /^\/v2\/keys\/rotate$/, handle: () => json(keys.rotate()) },
  ];
}
