import type { Verdict } from "aftercommit";
import { answerOf, isAnsweredAsPlanned } from "./facts.ts";
import type { Facts } from "./facts.ts";
import type { PrintedEvent } from "./shop-process.ts";

/** What happened, in numbers. */
export interface Figures {
  readonly ordersSent: number;
  readonly ordersCommitted: number;
  readonly transactionsRevoked: number;
  readonly inDoubt: number;
  readonly answeredOtherwise: number;
  readonly committedByCheckBack: number;
  readonly rolledBackByCheckBack: number;
  readonly messagesPublished: number;
  readonly messagesDelivered: number;
  readonly effects: number;
  readonly effectsRepeated: number;
  readonly duplicatesSuppressed: number;
  readonly consumerRetries: number;
  readonly retriesUnanswered: number;
  readonly dead: number;
  readonly kills: number;
  readonly seconds: number;
}

/** Counts what the facts and the shop's own events say. */
export function figuresOf(facts: Facts, events: readonly PrintedEvent[], seconds: number): Figures {
  const { placed, orders, effects, messages, counts } = facts;
  const doubtful = new Set(placed.filter((one) => !isAnsweredAsPlanned(one)).map(({ order }) => order.item));
  const answered = new Set([
    ...placed.map((one) => answerOf(one).transactionId ?? ""),
    ...orders.filter(({ item }) => !doubtful.has(item)).map(({ transactionId }) => transactionId),
  ]);
  // A check is also asked by the request itself where the handler failed; what nobody was answered was checked back.
  const checkedBack = (verdict: Verdict): number =>
    new Set(
      events.flatMap((event) =>
        event.type === "decided" &&
        event.by === "check" &&
        event.verdict === verdict &&
        !answered.has(event.transactionId)
          ? [event.transactionId]
          : [],
      ),
    ).size;
  return {
    ordersSent: placed.length,
    ordersCommitted: orders.length,
    transactionsRevoked: counts.decisions - orders.length,
    inDoubt: placed.filter(({ reply }) => reply === "in doubt").length,
    answeredOtherwise: placed.filter((one) => one.reply !== "in doubt" && !isAnsweredAsPlanned(one)).length,
    committedByCheckBack: checkedBack("committed"),
    rolledBackByCheckBack: checkedBack("rolledBack"),
    messagesPublished: messages.length,
    messagesDelivered: messages.filter(({ delivered }) => delivered).length,
    effects: effects.length,
    effectsRepeated:
      effects.length - new Set(effects.map(({ consumer, messageId }) => `${consumer} ${messageId}`)).size,
    duplicatesSuppressed: events.filter(({ type }) => type === "duplicate").length,
    consumerRetries: messages.reduce((sum, { retries }) => sum + retries, 0),
    retriesUnanswered: messages.reduce((sum, { unanswered }) => sum + unanswered, 0),
    dead: counts.dead,
    kills: facts.killedBoots.size,
    seconds,
  };
}
