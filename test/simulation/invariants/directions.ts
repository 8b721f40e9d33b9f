import type { DeliveryFacts } from "aftercommit";
import type { QStashMessage } from "../ports/qstash-server.ts";
import { transfer } from "../topics.ts";
import type { LogWatch } from "./log.ts";
import type { RowWatch, Violate } from "./rows.ts";

/** What QStash has taken. */
export interface Directions {
  taken(message: QStashMessage): void;
  /** What a message says of itself; `undefined` where it is no delivery of ours. */
  deliveryOf(message: QStashMessage): DeliveryFacts | undefined;
  /** All that was taken, by transaction. */
  readonly byTransaction: Map<string, DeliveryFacts[]>;
  readonly messageIds: Set<string>;
  /** How much each transfer carries, by its message id. */
  readonly amounts: Map<string, number>;
}

/** Watches that nothing is published but by a decision for it (2), and never both directions. */
export function directions(violate: Violate, rows: RowWatch, log: LogWatch): Directions {
  const facts = new Map<QStashMessage, DeliveryFacts>();
  const byTransaction: Directions["byTransaction"] = new Map();
  const messageIds = new Set<string>();
  const amounts = new Map<string, number>();

  return {
    byTransaction,
    messageIds,
    amounts,
    deliveryOf: (message) => facts.get(message),
    taken(message) {
      const meta = message.headers["Aftercommit-Delivery"];
      if (meta === undefined) return;
      const delivery = JSON.parse(meta) as DeliveryFacts;
      const { transactionId: id, on, database, decidedAt, messageId } = delivery;
      facts.set(message, delivery);
      messageIds.add(messageId);
      if (delivery.topic === transfer.name)
        amounts.set(messageId, (JSON.parse(message.body) as { data: { amount: number } }).data.amount);
      const earlier = byTransaction.get(id) ?? [];
      byTransaction.set(id, [...earlier, delivery]);

      const wanted = on === "commit" ? "committed" : "rolledBack";
      const said = `"${delivery.topic}" of ${id}`;
      if (database !== undefined) {
        const verdict = rows.verdicts.get(id);
        // What a person sends again after its row was forgotten is kept by the log.
        if (verdict !== wanted && (verdict !== undefined || decidedAt === undefined))
          violate("published only by a decision for it", `${said} is out; its row: ${verdict}`);
      } else if (decidedAt === undefined && log.verdicts.get(id)?.has(wanted) !== true) {
        violate(
          "published only by a decision for it",
          `${said} is out; the log: ${[...(log.verdicts.get(id) ?? [])].join()}`,
        );
      }
      const lost = database === undefined && log.lost.transactions.has(id);
      if (!lost && earlier.some((other) => other.on !== on)) violate("never both directions", said);
    },
  };
}
