import type { World } from "../world.ts";
import { checkEffects } from "./effects.ts";
import { checkBarrierRequest, checkLoggedRequest } from "./requests.ts";

/** Checks what only the end can show, once everything has settled. */
export function checkEnd(world: World): void {
  for (const request of world.requests) {
    if (request.transactionId === undefined) continue;
    if (request.level === "barrier") checkBarrierRequest(world, request, request.transactionId);
    else checkLoggedRequest(world, request, request.transactionId);
  }
  checkEffects(world);
}
