import { setTimeout as sleep } from "node:timers/promises";
import type { Orders } from "../orders.ts";

const LONGEST_PAUSE_MILLIS = 40;

/**
 * The same data, behind something slow: a payment before the write, a printer after it. So a kill finds requests and
 * consumers before their commit as well as after it.
 */
export function slowOrders(orders: Orders): Orders {
  return {
    ...orders,
    insert: (tx, order) => between(() => orders.insert(tx, order)),
    act: (message, effect) => between(() => orders.act(message, effect)),
  };
}

async function between(write: () => Promise<void>): Promise<void> {
  await sleep(Math.random() * LONGEST_PAUSE_MILLIS);
  await write();
  await sleep(Math.random() * LONGEST_PAUSE_MILLIS);
}
