import { setTimeout as sleep } from "node:timers/promises";
import type { OrderKind, Plan, PlannedOrder } from "./plan.ts";
import { post } from "./post.ts";
import type { Reply } from "./post.ts";
import type { ShopProcess } from "./shop-process.ts";

/** An order, and what its sender was told of it. */
export interface Placed {
  readonly order: PlannedOrder;
  readonly reply: Exclude<Reply, "refused">;
}

/** How far the orders are. */
export interface Progress {
  readonly placed: number;
  readonly unanswered: number;
  readonly kills: number;
}

/** Orders under way at a time. */
export const CONCURRENCY = 16;
/** A kill waits no longer than this for its moment. */
const MOST_WAIT_MILLIS = 1_000;

const PATHS: Readonly<Record<OrderKind, string>> = {
  paid: "/orders",
  poison: "/orders",
  refused: "/orders/refused",
  throws: "/orders/throws",
};

/**
 * Sends the orders of a plan and kills the shop at its points, while requests are under way.
 *
 * A request that finds nobody listening waits until the shop is up; one whose connection breaks stays unanswered and is
 * never sent again.
 */
export async function placeOrders(
  { orders, kills }: Plan,
  shop: ShopProcess,
  onProgress: (progress: Progress) => void,
): Promise<readonly Placed[]> {
  const placed: Placed[] = [];
  let begun = 0;
  let underWay = 0;
  let killed = 0;
  let unanswered = 0;
  const tell = (): void => onProgress({ placed: placed.length, unanswered, kills: killed });

  const killAll = async (): Promise<void> => {
    for (const { afterOrders, upon } of kills) {
      await until(() => begun >= afterOrders);
      await Promise.race([shop.next(upon), sleep(MOST_WAIT_MILLIS)]);
      await until(() => underWay > 0 || placed.length === orders.length);
      killed++;
      await shop.kill();
      tell();
    }
  };

  const place = async (order: PlannedOrder): Promise<Exclude<Reply, "refused">> => {
    for (;;) {
      await shop.up();
      underWay++;
      const reply = await post(`${shop.url}${PATHS[order.kind]}`, { item: order.item, cents: order.cents });
      underWay--;
      if (reply !== "refused") return reply;
      await sleep(5);
    }
  };

  const queue = orders.values();
  const worker = async (): Promise<void> => {
    for (const order of queue) {
      begun++;
      const reply = await place(order);
      placed.push({ order, reply });
      if (reply === "unanswered") unanswered++;
      tell();
    }
  };
  await Promise.all([...Array.from({ length: CONCURRENCY }, worker), killAll()]);
  return placed;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}
