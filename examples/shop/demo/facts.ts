import type { LogCounts } from "aftercommit";
import type { Books } from "./database.ts";
import type { Placed } from "./driver.ts";
import type { SentMessage } from "./qstash-log.ts";
import type { DeadPage, ShopProcess } from "./shop-process.ts";

/** A delivery that waits for a person, as the operator's list shows it. */
export interface DeadDelivery {
  readonly key: string;
  readonly transactionId: string;
  readonly consumer: string;
  readonly reason: string;
  readonly detail: string;
}

/** What is known at the end, each from its own witness; the books are those of the shop's own database. */
export interface Facts extends Books {
  /** What the senders of the orders were told. */
  readonly placed: readonly Placed[];
  /** QStash's event log. */
  readonly messages: readonly SentMessage[];
  /** The operator's routes. */
  readonly dead: readonly DeadDelivery[];
  readonly counts: LogCounts;
  /** The names of the starts of the shop that were killed. */
  readonly killedBoots: ReadonlySet<string>;
  /** How many consumers QStash calls at a time. */
  readonly consumersAtATime: number;
}

/** The consumers that each order's message goes to. */
export const CONSUMERS = ["receipt", "stock"] as const;

/** Reads the whole list of dead letters. */
export async function readDead(shop: ShopProcess): Promise<readonly DeadDelivery[]> {
  const dead: DeadDelivery[] = [];
  let page: DeadPage | undefined;
  do {
    page = await shop.dead(page?.cursor);
    for (const { record, reason, detail } of page.items) {
      const consumer = new URL(record.destination).pathname.split("/").at(-1)!;
      dead.push({ key: record.key, transactionId: record.transactionId, consumer, reason, detail });
    }
  } while (page.cursor !== undefined);
  return dead;
}

/** What a 201 says. */
export function answerOf({ reply }: Placed): { readonly orderId?: string; readonly transactionId?: string } {
  if (reply === "unanswered" || !reply.body.startsWith("{")) return {};
  return JSON.parse(reply.body) as { orderId?: string; transactionId?: string };
}

/** Whether the sender was told what this kind of order is told. */
export function isAnsweredAsPlanned({ order, reply }: Placed): boolean {
  return reply !== "unanswered" && reply.status === EXPECTED_STATUS[order.kind];
}

const EXPECTED_STATUS = { paid: 201, poison: 201, refused: 402, throws: 500 } as const;
