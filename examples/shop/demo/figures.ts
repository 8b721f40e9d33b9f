import type { Verdict } from "aftercommit";
import { answerOf, isAnsweredAsPlanned } from "./facts.ts";
import type { Facts } from "./facts.ts";
import type { Identity } from "./identities.ts";
import type { PrintedEvent } from "./shop-process.ts";

/** What happened, in numbers. */
export interface Figures {
  readonly ordersSent: number;
  readonly ordersCommitted: number;
  readonly unanswered: number;
  readonly answeredOtherwise: number;
  /** Transactions whose outcome their own commit did not tell. */
  readonly inDoubt: number;
  readonly committedByCheckBack: number;
  readonly rolledBackByCheckBack: number;
  readonly messagesPublished: number;
  /** Of these handed to QStash by a sweep: the request that committed them had gone, or was slow. */
  readonly publishedByRecovery: number;
  readonly messagesDelivered: number;
  /** Committed, and neither delivered nor dead. */
  readonly lost: number;
  /** Sent or acted on without an order. */
  readonly phantoms: number;
  readonly effects: number;
  readonly effectsDoubled: number;
  readonly duplicatesSuppressed: number;
  readonly consumerRetries: number;
  readonly retriesUnanswered: number;
  readonly dead: number;
  readonly kills: number;
  readonly seconds: number;
}

/** Counts what the facts, the identities and the shop's own events say. */
export function figuresOf(
  facts: Facts,
  identities: readonly Identity[],
  events: readonly PrintedEvent[],
  seconds: number,
): Figures {
  const { placed, orders, effects, messages, counts } = facts;
  const committed = checkedBack(facts, events, "committed");
  const rolledBack = checkedBack(facts, events, "rolledBack");
  const offendersOf = (wanted: Identity["name"]): number =>
    identities.find(({ name }) => name === wanted)?.offenders.length ?? 0;
  return {
    ordersSent: placed.length,
    ordersCommitted: orders.length,
    unanswered: placed.filter(({ reply }) => reply === "unanswered").length,
    answeredOtherwise: placed.filter((one) => one.reply !== "unanswered" && !isAnsweredAsPlanned(one)).length,
    inDoubt: committed + rolledBack + offendersOf("decided"),
    committedByCheckBack: committed,
    rolledBackByCheckBack: rolledBack,
    messagesPublished: messages.length,
    publishedByRecovery: events.reduce((sum, event) => sum + (event.type === "swept" ? event.published : 0), 0),
    messagesDelivered: messages.filter(({ delivered }) => delivered).length,
    lost: offendersOf("delivered"),
    phantoms: offendersOf("nothing else"),
    effects: effects.length,
    effectsDoubled: effects.length - new Set(effects.map(({ consumer, messageId }) => `${consumer} ${messageId}`)).size,
    duplicatesSuppressed: events.filter(({ type }) => type === "duplicate").length,
    consumerRetries: messages.reduce((sum, { retries }) => sum + retries, 0),
    retriesUnanswered: messages.reduce((sum, { unanswered }) => sum + unanswered, 0),
    dead: counts.dead,
    kills: facts.killedBoots.size,
    seconds,
  };
}

/** How many transactions were decided by somebody who had to ask, after their request had gone. */
function checkedBack({ placed, orders }: Facts, events: readonly PrintedEvent[], verdict: Verdict): number {
  const doubtful = new Set(placed.filter((one) => !isAnsweredAsPlanned(one)).map(({ order }) => order.item));
  const answered = new Set([
    ...placed.map((one) => answerOf(one).transactionId ?? ""),
    ...orders.filter(({ item }) => !doubtful.has(item)).map(({ transactionId }) => transactionId),
  ]);
  // A check is also asked by the request itself where the handler failed; what nobody was answered was checked back.
  const found = events.flatMap((event) =>
    event.type === "decided" && (event.by === "check" || event.by === "sweep") && event.verdict === verdict
      ? [event.transactionId]
      : [],
  );
  return new Set(found.filter((transactionId) => !answered.has(transactionId))).size;
}
